"""The eager kernel against the formula in plain loops, and every other kernel against the eager one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from zoo import hardware
from zoo.kernels import blocked, common
from zoo.kernels.attention import attend, attend_eager, choose
from zoo.masks import Mask

CPU = torch.device("cpu")
QUIET = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])  # a busy core
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 3e-2}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Cases are so small that threads only wait for one another."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@dataclass(frozen=True)
class Case:
    q: Tensor
    k: Tensor
    v: Tensor
    upstream: Tensor
    mask: Mask
    scale: float
    bias: Tensor | None
    soft_cap: float | None = None

    def run(self, kernel: str) -> list[Tensor]:
        """The output, then the gradient of each input."""
        inputs = [x.detach().requires_grad_() for x in (self.q, self.k, self.v, self.bias) if x is not None]
        bias = inputs[3] if self.bias is not None else None
        output = attend(
            *inputs[:3],
            mask=self.mask,
            scale=self.scale,
            bias=bias,
            soft_cap=self.soft_cap,
            kernel=kernel,
        )
        return [output, *torch.autograd.grad(output, inputs, self.upstream)]

    def run_once(self, kernel: str) -> Tensor:
        made = self.mask  # made again inside, as a model makes it
        mask = Mask(made.causal, made.radius, made.keys, made.global_tokens)
        return attend(
            self.q, self.k, self.v, mask=mask, scale=self.scale, soft_cap=self.soft_cap, kernel=kernel
        )


@st.composite
def cases(
    draw: st.DrawFn,
    dtypes: tuple[torch.dtype, ...],
    *,
    restricted: bool = False,
    caps: bool = True,
    device: str = "cpu",
) -> Case:
    """Restricted cases are those the blocked kernel can do."""
    B, G, shared = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    S = draw(st.integers(1, 90 if restricted else 40))
    on_axis = restricted or draw(st.booleans())
    offset = 0 if restricted or not on_axis else draw(st.integers(0, S - 1))
    T = S if restricted else draw(st.integers(1, S - offset if on_axis else 30))
    K, Kv = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(dtypes))

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    def tokens(share: float, rows: int | None = None) -> Tensor:
        rows = rows or draw(st.sampled_from([1, B]))
        return (torch.rand(rows, S, generator=generator) < share).to(device)

    keys = tokens(draw(st.sampled_from([0.0, 0.2, 0.8]))) if draw(st.booleans()) else None
    global_tokens = documents = None
    if on_axis and draw(st.booleans()):
        given = None if keys is None else keys.shape[0]
        global_tokens = tokens(draw(st.sampled_from([0.0, 0.05, 0.2])), given)
    if on_axis and draw(st.booleans()):
        rows = next((x.shape[0] for x in (keys, global_tokens) if x is not None), B)
        documents = torch.randint(0, 3, (rows, S), generator=generator).sort()[0].to(device)
    radius = draw(st.integers(0, S + 1)) if restricted or (on_axis and draw(st.booleans())) else None
    mask = Mask(on_axis and draw(st.booleans()), radius, keys, global_tokens, documents, offset)
    bias = None
    if not restricted and draw(st.booleans()):
        bias = random(draw(st.sampled_from([1, B])), draw(st.sampled_from([1, G * shared])), T, S)
    H = G * shared
    shapes = ((B, H, T, K), (B, G, S, K), (B, G, S, Kv), (B, H, T, Kv))
    soft_cap = draw(st.sampled_from([None, 0.6, 4.0])) if caps else None  # scores are mostly within ±2
    return Case(*(random(*shape) for shape in shapes), mask, K**-0.5, bias, soft_cap)


def by_loops(case: Case) -> Tensor:
    """Equation 1 of Vaswani et al. 2017 with capped scores, number by number."""
    B, H, T, K = case.q.shape
    G, S, Kv = case.v.shape[1:]
    output = torch.zeros(B, H, T, Kv, dtype=torch.float64)
    allowed = case.mask.dense(T, S, CPU)
    allowed = torch.ones(B, 1, T, S) if allowed is None else allowed.expand(B, 1, T, S)
    bias = torch.zeros(B, H, T, S) if case.bias is None else case.bias.expand(B, H, T, S)
    for b in range(B):
        for h in range(H):
            g = h * G // H
            for t in range(T):
                exps = {}
                for s in range(S):
                    if allowed[b, 0, t, s]:
                        score = sum(float(case.q[b, h, t, i]) * float(case.k[b, g, s, i]) for i in range(K))
                        score *= case.scale
                        if case.soft_cap is not None:
                            score = case.soft_cap * math.tanh(score / case.soft_cap)
                        exps[s] = math.exp(score + float(bias[b, h, t, s]))
                for s, weight in exps.items():
                    output[b, h, t] += weight / sum(exps.values()) * case.v[b, g, s]
    return output


@given(cases((torch.float64,)))
@settings(QUIET, max_examples=12)
def test_the_eager_kernel_is_the_formula(case: Case) -> None:
    cut = (x[:, :, :7] for x in (case.q, case.k, case.v, case.upstream))
    case = Case(*cut, Mask(), case.scale, None, case.soft_cap)
    assert_close(case.run("eager")[0], by_loops(case))


@given(cases((torch.float64,)))
@settings(QUIET, max_examples=6)
def test_the_eager_kernel_follows_mask_bias_and_cap(case: Case) -> None:
    assert_close(case.run("eager")[0], by_loops(case))


def test_the_eager_kernel_has_the_right_gradients() -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = [
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((2, 2, 2, 3), (2, 1, 4, 3), (2, 1, 4, 2), (1, 2, 2, 4))
    ]
    keys = torch.tensor([[True, False, True, True], [False, False, False, False]])
    mask = Mask(causal=True, offset=2, keys=keys)

    def output(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        return attend(q, k, v, mask=mask, scale=0.7, bias=bias, soft_cap=0.9, kernel="eager")

    assert torch.autograd.gradcheck(output, inputs)


@pytest.mark.parametrize("kernel", ["matmul", "auto"])
@given(case=cases(tuple(TOLERANCE)))
@settings(QUIET, max_examples=80)
def test_a_kernel_equals_the_eager_one(kernel: str, case: Case) -> None:
    assert_equal_to_eager(case, kernel)


@pytest.mark.parametrize("kernel", ["sdpa", "auto"])
@given(case=cases(tuple(TOLERANCE), caps=False))
@settings(QUIET, max_examples=80)
def test_a_kernel_equals_the_eager_one_without_a_cap(kernel: str, case: Case) -> None:
    assert_equal_to_eager(case, kernel)


@pytest.mark.parametrize("kernel", ["blocked", "auto"])
@given(case=cases(tuple(TOLERANCE), restricted=True))
@settings(QUIET, max_examples=80)
def test_a_kernel_equals_the_eager_one_within_a_radius(kernel: str, case: Case) -> None:
    assert_equal_to_eager(case, kernel)


def assert_equal_to_eager(case: Case, kernel: str) -> None:
    tolerance = TOLERANCE[case.q.dtype]
    for got, expected in zip(case.run(kernel), case.run("eager"), strict=True):
        assert got.dtype == case.q.dtype
        # The error of a sum grows with its terms, so it is held against the greatest value.
        greatest = max(1.0, expected.abs().max().item())
        assert_close(got, expected, rtol=0, atol=tolerance * greatest)


def plain_case(mask: Mask, *, T: int = 77, S: int = 77, dtype: torch.dtype = torch.float32) -> Case:
    generator = torch.Generator().manual_seed(5)
    shapes = ((3, 6, T, 8), (3, 2, S, 8), (3, 2, S, 8), (3, 6, T, 8))
    q, k, v, upstream = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return Case(q, k, v, upstream, mask, 0.3, None)


@pytest.mark.parametrize("soft_cap", [None, 0.8])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("most_scores", [1, 40_000, 100_000, 180_000, 400_000])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kernel", ["matmul", "blocked"])
def test_work_cut_into_pieces_gives_the_same(
    kernel: str,
    rows: int,
    most_scores: int,
    causal: bool,
    soft_cap: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(7)
    keys = torch.rand(rows, 177, generator=generator) < 0.7
    documents = torch.randint(0, 3, (rows, 177), generator=generator)
    mask = Mask(causal=causal, radius=41, keys=keys, documents=documents)
    case = replace(plain_case(mask, T=177, S=177), soft_cap=soft_cap)
    monkeypatch.setattr(common, "_CPU_SCORES", most_scores)
    monkeypatch.setattr(blocked, "_FEWEST", 1)
    assert_equal_to_eager(case, kernel)


@pytest.mark.parametrize(
    ("most_scores", "sizes", "n_boxes"),
    [(1, (1, 1), 36), (40_000, (1, 1), 12), (100_000, (1, 1), 6), (180_000, (1, 2), 3), (400_000, (2, 2), 2)],
)
def test_a_box_holds_sentences_or_heads_or_a_stretch_of_one(
    most_scores: int, sizes: tuple[int, int], n_boxes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "_CPU_SCORES", most_scores)
    monkeypatch.setattr(blocked, "_FEWEST", 1)
    plan = blocked._Plan(like(3, 6, 177, 8), like(3, 2, 177, 8), Mask(radius=41))
    assert (plan.boxes[0].sizes, len(plan.boxes)) == (sizes, n_boxes)


@pytest.mark.parametrize("global_tokens", [None, torch.arange(77).expand(1, 77) % 40 == 3])
@pytest.mark.parametrize("wide", [4, 300])  # blocked keeps its weights up to a window of 2 (K + Kv), here 32
@pytest.mark.parametrize("causal", [False, True])
def test_blocked_gives_the_same_whether_it_keeps_its_weights(
    wide: int, causal: bool, global_tokens: Tensor | None
) -> None:
    case = plain_case(Mask(causal=causal, radius=5, global_tokens=global_tokens))
    v = case.v.repeat(1, 1, 1, wide)
    upstream = case.upstream.repeat(1, 1, 1, wide)
    assert_equal_to_eager(replace(case, v=v, upstream=upstream, soft_cap=1.3), "blocked")


@pytest.mark.parametrize("kernel", ["eager", "matmul", "blocked"])
def test_a_cap_bounds_scores_before_the_bias_and_the_mask(kernel: str) -> None:
    q = torch.tensor([[[[100.0], [-100.0]]]])  # scores are ±100, capped to ±ln 2
    k, v = torch.ones(1, 1, 2, 1), torch.eye(2)[None, None]
    k[..., 1, :] = -1.0
    mask = Mask(radius=2, keys=torch.tensor([[True, True]]))
    output = attend(q, k, v, mask=mask, scale=1.0, soft_cap=math.log(2), kernel=kernel)
    assert_close(output[0, 0], torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    if kernel != "blocked":
        bias = torch.tensor([[[[0.0, math.log(4)], [0.0, 0.0]]]])
        output = attend(q, k, v, mask=mask, scale=1.0, bias=bias, soft_cap=math.log(2), kernel=kernel)
        assert_close(output[0, 0], torch.tensor([[0.5, 0.5], [0.2, 0.8]]))


@pytest.mark.parametrize("kernel", ["sdpa", "matmul", "auto"])
@pytest.mark.parametrize("shape", [(3, 6), (3, 1), (1, 6)])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_bias_made_of_the_queries_passes_its_gradient_back(
    kernel: str, shape: tuple[int, int], dtype: torch.dtype
) -> None:
    case = plain_case(Mask(causal=True, keys=torch.arange(77) < torch.tensor([[77], [60], [1]])), dtype=dtype)
    table = torch.randn(8, 77, generator=torch.Generator().manual_seed(2)).to(dtype)

    def run(kernel: str) -> list[Tensor]:
        inputs = [x.detach().requires_grad_() for x in (case.q, case.k, case.v, table)]
        q, k, v, vectors = inputs
        bias = (q @ vectors)[: shape[0], : shape[1]] * case.scale  # [3 or 1, 6 or 1, T, S]
        output = attend(q, k, v, mask=case.mask, scale=case.scale, bias=bias, kernel=kernel)
        return [output, *torch.autograd.grad(output, inputs, case.upstream)]

    for got, expected in zip(run(kernel), run("eager"), strict=True):
        greatest = max(1.0, expected.abs().max().item())
        assert_close(got, expected, rtol=0, atol=TOLERANCE[dtype] * greatest)


@pytest.mark.parametrize("kernel", ["eager", "sdpa", "matmul", "blocked"])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_queries_with_nothing_to_attend_give_zeros_and_no_gradient(kernel: str, dtype: torch.dtype) -> None:
    keys = torch.ones(3, 77, dtype=torch.bool)
    keys[0] = False
    keys[1, :30] = False
    case = plain_case(Mask(causal=True, radius=9, keys=keys), dtype=dtype)
    output, d_q, d_k, d_v = case.run(kernel)
    for tensor in (output, d_q, d_k, d_v):
        assert tensor.isfinite().all()
    for tensor in (output, d_q):
        assert not tensor[0].any()
        assert not tensor[1, :, :30].any()
        assert tensor[1, :, 31:].any()
    for tensor in (d_k, d_v):
        assert not tensor[0].any()
        assert not tensor[1, :, :30].any()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("columns", [[[], [0, 40, 76], [5, 6]], [[7, 11]], [[], [], []]])
def test_each_sentence_has_global_tokens_of_its_own(columns: list[list[int]], causal: bool) -> None:
    global_tokens = torch.zeros(len(columns), 77, dtype=torch.bool)
    for row, places in zip(global_tokens, columns, strict=True):
        row[places] = True
    assert_equal_to_eager(plain_case(Mask(causal=causal, radius=4, global_tokens=global_tokens)), "blocked")


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("hidden", ["all", "all but a global token", "all but the window"])
def test_with_global_tokens_too_what_sees_nothing_gives_zeros(hidden: str, dtype: torch.dtype) -> None:
    keys = torch.zeros(3, 77, dtype=torch.bool)
    keys[:, 70] = hidden == "all but a global token"
    keys[:, 20:30] = hidden == "all but the window"
    global_tokens = torch.arange(77).expand(3, 77) == 70
    case = plain_case(Mask(radius=4, keys=keys, global_tokens=global_tokens), dtype=dtype)
    assert_equal_to_eager(case, "blocked")
    output, d_q, d_k, d_v = case.run("blocked")
    seen = {"all": [], "all but a global token": range(77), "all but the window": [*range(16, 34), 70]}[
        hidden
    ]
    for tensor in (output, d_q):
        assert tensor.isfinite().all()
    assert output.abs().amax((0, 1, 3)).nonzero().flatten().tolist() == list(seen)
    for tensor in (d_k, d_v):
        assert tensor.isfinite().all()
        assert not tensor[:, :, ~keys[0]].any()


@pytest.mark.parametrize("kernel", ["eager", "sdpa", "matmul", "blocked"])
def test_hidden_keys_have_no_influence_whatever_they_hold(kernel: str) -> None:
    keys = torch.ones(3, 77, dtype=torch.bool)
    keys[:, 50:] = False
    case = plain_case(Mask(radius=70, keys=keys))
    other = Case(case.q, case.k.clone(), case.v.clone(), case.upstream, case.mask, case.scale, None)
    other.k[:, :, 50:] = 1e3
    other.v[:, :, 50:] = -1e3
    assert_close(case.run(kernel)[0], other.run(kernel)[0], rtol=0, atol=0)


@pytest.mark.parametrize("kernel", ["eager", "sdpa", "matmul", "blocked"])
def test_great_scores_do_not_overflow(kernel: str) -> None:
    case = plain_case(Mask(radius=40, causal=True))
    great = Case(case.q * 1e4, case.k, case.v, case.upstream, case.mask, case.scale, None)
    for tensor in great.run(kernel):
        assert tensor.isfinite().all()
    assert_close(great.run(kernel)[0], great.run("eager")[0], rtol=0, atol=1e-2)


@pytest.mark.parametrize("soft_cap", [None, 0.7])
@pytest.mark.parametrize("global_tokens", [None, torch.arange(19).expand(1, 19) % 11 == 2])
@pytest.mark.parametrize("kernel", ["eager", "matmul", "blocked"])
def test_dropout_drops_weights_and_makes_up_for_them(
    kernel: str, global_tokens: Tensor | None, soft_cap: float | None
) -> None:
    generator = torch.Generator().manual_seed(11)
    q, k = (torch.randn(2, h, 19, 5, dtype=torch.float64, generator=generator) for h in (4, 2))
    v = torch.eye(19, dtype=torch.float64).expand(2, 2, 19, 19)  # so that the output is the weights
    upstream = torch.randn(2, 4, 19, 19, dtype=torch.float64, generator=generator)
    mask = Mask(radius=6, global_tokens=global_tokens)
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    torch.manual_seed(0)
    dropped = attend(*inputs, mask=mask, scale=0.5, dropout=0.25, soft_cap=soft_cap, kernel=kernel)
    grads = torch.autograd.grad(dropped, inputs, upstream)

    again = [x.clone().requires_grad_() for x in (q, k, v)]
    _, weights = attend_eager(*again, mask=mask, scale=0.5, soft_cap=soft_cap)
    kept = (dropped != 0).to(torch.float64)
    shown = mask.dense(19, 19, CPU).expand_as(kept)
    assert 0.65 < kept[shown].mean().item() < 0.85
    expected = weights * kept / 0.75 @ again[2].repeat_interleave(2, 1)
    assert_close(dropped, expected)
    for got, grad in zip(grads, torch.autograd.grad(expected, again, upstream), strict=True):
        assert_close(got, grad)


def test_sdpa_drops_weights() -> None:
    case = plain_case(Mask(causal=True))
    v = torch.ones_like(case.v)
    torch.manual_seed(0)
    output = attend(case.q, case.k, v, mask=case.mask, scale=0.3, dropout=0.5, kernel="sdpa")
    assert_close(output.mean(), torch.tensor(1.0), rtol=0, atol=0.05)
    assert output.std() > 0.1


def test_eager_returns_the_weights_before_dropout() -> None:
    case = plain_case(Mask(causal=True), dtype=torch.bfloat16)
    torch.manual_seed(0)
    output, weights = attend_eager(case.q, case.k, case.v, mask=case.mask, scale=0.3, dropout=0.5)
    assert (output.dtype, weights.dtype) == (torch.bfloat16, torch.float32)
    assert weights.shape == (3, 6, 77, 77)
    assert_close(weights.sum(-1), torch.ones(3, 6, 77))
    assert not weights.triu(1).any()


@pytest.mark.parametrize("kernel", ["eager", "sdpa", "matmul", "blocked"])
def test_autocast_lowers_the_inputs_and_gradients_come_back_whole(kernel: str) -> None:
    case = plain_case(Mask(causal=True, radius=9))
    inputs = [x.requires_grad_() for x in (case.q, case.k, case.v)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = attend(*inputs, mask=case.mask, scale=case.scale, kernel=kernel)
    grads = torch.autograd.grad(output, inputs, case.upstream.bfloat16())
    low = Case(*(x.detach().bfloat16() for x in (*inputs, case.upstream)), case.mask, case.scale, None)
    expected, *expected_grads = low.run(kernel)
    assert output.dtype == torch.bfloat16
    assert_close(output, expected, rtol=0, atol=0)
    for got, grad in zip(grads, expected_grads, strict=True):
        assert got.dtype == torch.float32
        assert_close(got, grad.float(), rtol=0, atol=0)


def test_autocast_leaves_float64_alone() -> None:
    case = plain_case(Mask(causal=True), dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = attend(case.q, case.k, case.v, mask=case.mask, scale=case.scale)
        weights = attend_eager(case.q, case.k, case.v, mask=case.mask, scale=case.scale)[1]
    assert output.dtype == weights.dtype == torch.float64


@pytest.mark.parametrize("kernel", ["matmul", "blocked"])
def test_autocast_around_a_backward_pass_changes_nothing(kernel: str) -> None:
    case = plain_case(Mask(causal=True, radius=9))
    q = case.q.requires_grad_()
    output = attend(q, case.k, case.v, mask=case.mask, scale=case.scale, kernel=kernel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grad = torch.autograd.grad(output, q, case.upstream)[0]
    assert_close(grad, case.run(kernel)[1], rtol=0, atol=0)


@pytest.mark.parametrize("bias", [None, torch.randn(1, 6, 77, 77)])
@pytest.mark.parametrize(
    "mask",
    [
        Mask(causal=True),
        Mask(causal=True, radius=70),
        Mask(causal=True, keys=torch.rand(3, 77) < 0.9),
        Mask(causal=True, documents=torch.arange(77).expand(3, 77) // 30),
    ],
)
def test_sdpa_keeps_what_comes_beside_causality(mask: Mask, bias: Tensor | None) -> None:
    case = plain_case(mask)
    assert_equal_to_eager(Case(case.q, case.k, case.v, case.upstream, mask, case.scale, bias), "sdpa")


def test_torch_never_sees_its_causal_flag_with_unequal_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = []
    fused = torch.nn.functional.scaled_dot_product_attention

    def record(q: Tensor, k: Tensor, v: Tensor, **rest: object) -> Tensor:
        flags.append(
            (rest.get("is_causal", False), q.shape[2] == k.shape[2], rest.get("attn_mask") is not None)
        )
        return fused(q, k, v, **rest)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
    for T, S in ((77, 77), (3, 77), (1, 77)):
        plain_case(Mask(causal=True, offset=S - T), T=T, S=S).run("sdpa")
    plain_case(Mask(causal=True, radius=3)).run("sdpa")
    assert flags == [(True, True, False), (False, False, True), (False, False, False), (False, True, True)]


@pytest.mark.parametrize("n_global", [0, 3])
def test_blocked_makes_no_mask_over_all_pairs_and_keeps_memory_linear(
    n_global: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a mask over all pairs was made")

    monkeypatch.setattr(Mask, "dense", refuse)
    kept = []
    for T in (1000, 2000, 4000):
        q = torch.randn(1, 2, T, 8, requires_grad=True)
        saved: dict[int, int] = {}

        def keep(tensor: Tensor, saved: dict[int, int] = saved) -> Tensor:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            tokens = torch.arange(T)[None] % 300 < n_global if n_global else None
            tokens = None if tokens is None else tokens & (torch.arange(T) < 900)
            attend(q, q, q, mask=Mask(causal=True, radius=5, global_tokens=tokens), scale=1.0)
        kept.append(sum(saved.values()))
    assert 1.9 < kept[1] / kept[0] < 2.1
    assert 1.9 < kept[2] / kept[1] < 2.1


def tokens_to(n: int) -> Tensor:
    """Two sentences of 512, with n and none of their tokens global."""
    return torch.arange(512) < torch.tensor([[n], [0]])


def like(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    return torch.empty(1, dtype=dtype, device=device).expand(shape)  # only its shape is looked at


@pytest.mark.parametrize(
    ("B", "T", "dtype", "mask", "dropout", "expected"),
    [
        (128, 16, torch.float32, Mask(causal=True), 0.0, "matmul"),
        (128, 16, torch.bfloat16, Mask(causal=True), 0.0, "matmul"),
        (1, 16, torch.float32, Mask(causal=True), 0.0, "sdpa"),
        (8, 300, torch.float32, Mask(causal=True), 0.0, "sdpa"),
        (8, 300, torch.bfloat16, Mask(causal=True), 0.0, "matmul"),
        (8, 600, torch.bfloat16, Mask(causal=True), 0.0, "sdpa"),
        (8, 300, torch.float32, Mask(causal=True), 0.1, "matmul"),
        (2, 512, torch.float32, Mask(radius=64), 0.0, "blocked"),
        (2, 512, torch.bfloat16, Mask(radius=64), 0.0, "matmul"),
        (2, 4096, torch.bfloat16, Mask(radius=64), 0.0, "blocked"),
        (2, 128, torch.float32, Mask(radius=64), 0.0, "sdpa"),
        (8, 48, torch.float32, Mask(causal=True), 0.0, "matmul"),
        (8, 49, torch.float32, Mask(causal=True), 0.0, "sdpa"),
        (2, 4096, torch.float32, Mask(radius=3000), 0.0, "sdpa"),
        (2, 512, torch.float32, Mask(radius=4, global_tokens=torch.ones(2, 512) > 0), 0.0, "sdpa"),
        (2, 512, torch.float32, Mask(radius=64, global_tokens=tokens_to(48)), 0.0, "blocked"),
        (2, 512, torch.float32, Mask(radius=64, global_tokens=tokens_to(49)), 0.0, "sdpa"),
    ],
)
def test_auto_chooses_by_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
    B: int,
    T: int,
    dtype: torch.dtype,
    mask: Mask,
    dropout: float,
    expected: str,
) -> None:
    # As on a processor that multiplies bfloat16; tests/test_hardware.py has one that does not.
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device="cpu": True)
    x = like(B, 4, T, 64, dtype=dtype)
    assert choose(x, x, x, mask=mask, bias=None, dropout=dropout) == expected


def test_auto_avoids_unfused_code() -> None:
    q, narrow = like(2, 4, 300, 64), like(2, 4, 300, 32)
    bias = torch.zeros(1, 4, 300, 300)
    assert choose(q, q, narrow, mask=Mask(), bias=None, dropout=0.0) == "matmul"
    assert choose(q, q, q, mask=Mask(), bias=bias, dropout=0.0) == "sdpa"
    assert choose(q, q, q, mask=Mask(), bias=bias.requires_grad_(), dropout=0.0) == "matmul"
    with torch.no_grad():
        assert choose(q, q, q, mask=Mask(), bias=bias, dropout=0.0) == "sdpa"


@pytest.mark.parametrize(
    ("B", "T", "dtype", "mask", "device", "expected"),
    [
        (1, 16, torch.float32, Mask(causal=True), "cpu", "matmul"),
        (8, 600, torch.bfloat16, Mask(causal=True), "cpu", "matmul"),
        (2, 4096, torch.bfloat16, Mask(radius=64), "cpu", "blocked"),
        (2, 4096, torch.float32, Mask(radius=3000), "cpu", "matmul"),
        (8, 600, torch.float32, Mask(causal=True), "meta", "matmul"),
    ],
)
def test_auto_never_gives_capped_scores_to_sdpa(
    B: int, T: int, dtype: torch.dtype, mask: Mask, device: str, expected: str
) -> None:
    x = like(B, 4, T, 64, dtype=dtype, device=device)
    assert choose(x, x, x, mask=mask, bias=None, dropout=0.0, soft_cap=30.0) == expected


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        ("blocked", {"mask": Mask(causal=True)}, "the blocked kernel cannot do this: it needs a radius"),
        ("blocked", {"mask": Mask(radius=1, offset=2), "T": 3}, "not 3 queries from position 2 for 5 keys"),
        ("blocked", {"mask": Mask(radius=1), "bias": torch.zeros(1, 1, 5, 5)}, "it adds no bias"),
        ("sdpa", {"soft_cap": 30.0}, "the sdpa kernel cannot do this: it caps no scores"),
        ("auto", {"soft_cap": 0.0}, r"soft_cap \(0.0\) must be above 0"),
        ("flex", {"mask": Mask(causal=True)}, "the flex kernel cannot do this: it trains on CUDA only"),
        ("fused", {}, "no attention kernel is named 'fused' .known: auto, eager"),
        ("auto", {"mask": Mask(keys=torch.ones(3, 5) > 0)}, "the mask is for 3 sentences, but there are 2"),
        ("auto", {"mask": Mask(keys=torch.ones(2, 4) > 0)}, r"keys must have the shape \[B, 5\]"),
        ("auto", {"bias": torch.zeros(1, 3, 5, 5)}, r"bias must have the shape \[2 or 1, 4 or 1, 5, 5\]"),
        ("auto", {"bias": torch.zeros(5, 5)}, r"not \[5, 5\]"),
        ("auto", {"dropout": 1.0}, r"dropout \(1.0\) must be at least 0 and below 1"),
        ("auto", {"groups": 3}, "G dividing H do not fit"),
        ("auto", {"key_size": 7}, "do not fit"),
        ("auto", {"dtype": torch.float64}, "must have one dtype, not torch.float32, torch.float64"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    kernel: str, arguments: dict[str, object], message: str
) -> None:
    rest = {"mask": Mask(), "T": 5, "groups": 2, "key_size": 6, "dtype": torch.float32, **arguments}
    q = torch.randn(2, 4, rest.pop("T"), 6)
    groups, key_size, dtype = rest.pop("groups"), rest.pop("key_size"), rest.pop("dtype")
    k, v = torch.randn(2, groups, 5, key_size, dtype=dtype), torch.randn(2, groups, 5, 3)
    with pytest.raises(ValueError, match=message):
        attend(q, k, v, scale=1.0, kernel=kernel, **rest)


@pytest.mark.parametrize("kernel", ["eager", "matmul", "blocked", "auto"])
def test_shapes_of_global_tokens_and_a_cap_come_out_on_the_meta_device(kernel: str) -> None:
    q = torch.empty(2, 4, 90, 6, device="meta", requires_grad=True)
    keys, tokens = (torch.empty(2, 90, dtype=torch.bool, device="meta") for _ in range(2))
    mask = Mask(radius=2, keys=keys, global_tokens=tokens)
    output = attend(q, q, q, mask=mask, scale=1.0, soft_cap=2.0, kernel=kernel)
    assert torch.autograd.grad(output.sum(), q)[0].shape == output.shape == q.shape


@pytest.mark.parametrize("kernel", ["eager", "sdpa", "matmul", "blocked", "auto"])
def test_shapes_come_out_on_the_meta_device(kernel: str) -> None:
    q = torch.empty(2, 4, 50, 6, device="meta", requires_grad=True)
    k, v = torch.empty(2, 2, 50, 6, device="meta"), torch.empty(2, 2, 50, 3, device="meta")
    mask = Mask(causal=True, radius=2, keys=torch.empty(2, 50, dtype=torch.bool, device="meta"))
    output = attend(q, k, v, mask=mask, scale=1.0, kernel=kernel)
    assert output.shape == (2, 4, 50, 3)
    assert torch.autograd.grad(output.sum(), q)[0].shape == q.shape


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("n_global", [0, 2])
@pytest.mark.parametrize("soft_cap", [None, 1.5])
@pytest.mark.parametrize("kernel", ["eager", "sdpa", "auto", "matmul", "blocked"])
def test_kernels_work_inside_a_compiled_model(kernel: str, soft_cap: float | None, n_global: int) -> None:
    tokens = torch.arange(77).expand(3, 77) < n_global if n_global else None
    mask = Mask(causal=True, radius=5, keys=torch.rand(3, 77) < 0.8, global_tokens=tokens)
    soft_cap = None if kernel == "sdpa" else soft_cap
    case = replace(plain_case(mask), soft_cap=soft_cap)
    torch._dynamo.reset()
    # The two that torch does not trace break the graph, and so does "auto" where it chooses one; no choice must.
    whole = kernel in ("eager", "sdpa") or (kernel == "auto" and n_global > 0)
    compiled = torch.compile(case.run_once, backend="aot_eager", fullgraph=whole)
    case.q.requires_grad_()
    results = []
    for run in (compiled, case.run_once):
        output = run(kernel)
        results.append([output, torch.autograd.grad(output, case.q, case.upstream)[0]])
    assert_close(*results)
