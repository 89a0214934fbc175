"""FlexAttention's blocks and rule are proven on the CPU, uncompiled and forward; the compiled kernel on
CUDA."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention
from torch.testing import assert_close

from zoo.kernels import flex
from zoo.kernels.attention import attend
from zoo.masks import Mask

CPU = torch.device("cpu")
QUIET = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])  # a busy core
BLOCK = flex._BLOCK


@st.composite
def masks(draw: st.DrawFn) -> tuple[Mask, int, int]:
    """A mask over some blocks with T and S."""
    S = draw(st.integers(1, 5 * BLOCK))
    offset = draw(st.sampled_from([0, S // 3, S - 1]))
    T = S - offset
    B = draw(st.integers(1, 2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    radius = draw(st.none() | st.integers(0, S))
    return (
        Mask(
            causal=draw(st.booleans()),
            radius=radius,
            keys=torch.arange(S) < torch.randint(0, S + 1, (B, 1), generator=generator)
            if draw(st.booleans())
            else None,
            global_tokens=torch.rand(B, S, generator=generator) < 2 / S if draw(st.booleans()) else None,
            documents=torch.randint(0, 3, (B, S), generator=generator).sort()[0]
            if draw(st.booleans())
            else None,
            offset=offset,
        ),
        T,
        S,
    )


@given(masks())
@settings(QUIET, max_examples=60)
def test_blocks_left_out_hide_all_and_full_blocks_hide_nothing(case: tuple[Mask, int, int]) -> None:
    mask, T, S = case
    some, every = flex._shown_blocks(mask, T, S, CPU)
    dense = mask.dense(T, S, CPU)
    dense = torch.ones(1, 1, T, S, dtype=torch.bool) if dense is None else dense
    dense = dense.expand(-1, 1, T, S)
    padded = torch.nn.functional.pad(dense, (0, -S % BLOCK, 0, -T % BLOCK))
    tiles = (
        padded.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK)).transpose(3, 4)
    )  # [B, 1, rows, cols, 128, 128]
    assert not (tiles.flatten(-2).any(-1) & ~some).any()
    assert not (every & ~tiles.flatten(-2).all(-1)).any()


def test_blocks_of_a_window_are_as_few_as_can_be() -> None:
    some, every = flex._shown_blocks(Mask(causal=True, radius=BLOCK), 8 * BLOCK, 8 * BLOCK, CPU)
    assert some.sum() == 8 + 7
    assert every.sum() == 0
    some, every = flex._shown_blocks(Mask(causal=True), 8 * BLOCK, 8 * BLOCK, CPU)
    assert some.sum() == 36
    assert every.sum() == 28


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@given(masks())
@settings(QUIET, max_examples=12)
def test_flex_equals_eager_forward_on_the_cpu(case: tuple[Mask, int, int]) -> None:
    mask, T, S = case
    B = max(2, mask.batch)
    q, k, v = torch.randn(B, 4, T, 16), torch.randn(B, 2, S, 16), torch.randn(B, 2, S, 8)
    for cap in (None, 0.9):
        got = flex.attention_with(flex_attention, q, k, v, mask=mask, scale=0.3, soft_cap=cap)
        assert_close(got, attend(q, k, v, mask=mask, scale=0.3, soft_cap=cap, kernel="eager"))


def inputs(T: int, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((2, 4, T, 64), (2, 2, T, 64), (2, 2, T, 64), (2, 4, T, 64))
    q, k, v, upstream = (torch.randn(shape, generator=generator).cuda().to(dtype) for shape in shapes)
    return [x.requires_grad_() for x in (q, k, v)], upstream


@pytest.mark.gpu
@pytest.mark.parametrize("kernel", ["flex", "sdpa", "matmul", "blocked", "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("T", [700, 1536])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("soft_cap", [None, 2.0])
@pytest.mark.parametrize("n_global", [0, 3])
def test_kernels_equal_eager_on_cuda(
    kernel: str,
    dtype: torch.dtype,
    T: int,
    causal: bool,
    padded: bool,
    soft_cap: float | None,
    n_global: int,
) -> None:
    soft_cap = None if kernel == "sdpa" else soft_cap
    tokens = (torch.arange(T, device="cuda") % 200 < n_global).expand(2, T) if n_global else None
    keys = None
    if padded:
        keys = torch.ones(2, T, dtype=torch.bool, device="cuda")
        keys[0, 300:] = False
        keys[1, :100] = False
    mask = Mask(causal=causal, radius=90, keys=keys, global_tokens=tokens)
    results = []
    for name in (kernel, "eager"):
        (q, k, v), upstream = inputs(T, dtype)
        output = attend(q, k, v, mask=mask, scale=0.125, soft_cap=soft_cap, kernel=name)
        results.append([output, *torch.autograd.grad(output, (q, k, v), upstream)])
    for got, expected in zip(*results, strict=True):
        tolerance = 3e-2 if dtype == torch.bfloat16 else 2e-3  # float32 may run in TF32 inside flex
        assert got.isfinite().all()
        assert_close(got, expected, rtol=0, atol=tolerance * max(1.0, expected.abs().max().item()))
