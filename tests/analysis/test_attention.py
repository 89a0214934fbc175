"""What a model's attentions attend to: the laws of weights, and formulas written as loops."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import zoo
from registry import SpecError, parse
from zoo.analysis.attention import TOLERANCES, attention_weights, attentions_in
from zoo.kernels import attention as kernels
from zoo.kernels import watching
from zoo.kinds import ATTENTION, MIXER, POSITION
from zoo.masks import Mask

B, T, S, D = 2, 7, 5, 12
SOFTMAX = [name for name in ATTENTION.names() if name not in ("linear", "none")]
KEYS = torch.arange(T) < torch.tensor([[T], [4]])


def positions(name):
    if name != "disentangled":
        return None
    spec = parse(POSITION.entry("relative_embeddings").spec, {"type": "relative_embeddings", "span": 4})
    return POSITION.build(spec, d_model=D, n_heads=1)


def self_attention(name, example, mask):
    torch.manual_seed(0)
    module = ATTENTION.build(example, d_model=D).eval()
    for parameter in module.parameters():
        parameter.data.normal_(std=0.7)
    x, position = torch.randn(B, T, D), positions(name)
    (found,) = attentions_in(module, lambda: module(x, mask=mask, position=position, cache=None)).found
    return found


CASES = [
    (name, i, is_causal)
    for name in SOFTMAX
    for i in range(len(ATTENTION.examples(name)))
    for is_causal in (False, True)
    if name != "block_sparse" or not is_causal
]


@pytest.mark.parametrize(("name", "number", "is_causal"), CASES)
def test_rows_sum_to_one_and_neither_padding_nor_what_is_to_come_has_any(name, number, is_causal):
    example = ATTENTION.examples(name)[number]
    found = self_attention(name, example, Mask(causal=is_causal, keys=KEYS))
    weights = found.weights
    assert weights.shape == (B, getattr(example, "n_heads", 1), T, T)
    assert (found.part, found.is_cross, found.is_confirmed) == (name, False, True)
    allowed = KEYS[:, None, None, :].expand(B, 1, T, T)
    if is_causal:
        allowed = allowed & torch.ones(T, T, dtype=torch.bool).tril()
    if name in ("restricted", "sink") and example.radius is not None:
        allowed = allowed & ((torch.arange(T)[:, None] - torch.arange(T)).abs() <= example.radius)
    if name == "chunked":
        chunks = (torch.arange(T) - KEYS.int().argmax(1, keepdim=True)).clamp(min=0) // example.chunk_size
        allowed = allowed & (chunks[:, :, None] == chunks[:, None, :])[:, None]
    if name == "block_sparse" and example.max_whole < T:  # blocks of one token
        far = (torch.arange(T)[:, None] - torch.arange(T)).abs() > 1
        is_end = torch.arange(T) % (T - 1) == 0
        allowed = allowed & ~(far & ~is_end & ~is_end[:, None])
    if name == "global_local":
        far = (torch.arange(T)[:, None] - torch.arange(T)).abs() > example.radius
        is_global = torch.arange(T) < example.n_global
        allowed = allowed & ~(far & ~is_global & ~is_global[:, None])
    assert (weights[~allowed.expand_as(weights)] == 0).all()
    assert (weights[allowed.expand_as(weights)] > 0).all()
    has_any = allowed.any(-1, keepdim=True).expand(*weights.shape[:3], 1).squeeze(-1)
    if name == "sink":  # takes a share of every query
        assert ((weights.sum(-1) < 1 + 1e-6) & (weights.sum(-1) >= 0)).all()
        assert weights.sum(-1).mean() < has_any.float().mean()
    else:
        assert_close(weights.sum(-1), has_any.float())


def test_global_tokens_have_the_weights_of_their_own_projections():
    example = ATTENTION.examples("global_local")[0]
    found = self_attention("global_local", example, Mask())
    torch.manual_seed(0)
    module = ATTENTION.build(example, d_model=D).eval()
    for parameter in module.parameters():
        parameter.data.normal_(std=0.7)
    x, H, K = torch.randn(B, T, D), example.n_heads, D // example.n_heads
    q, k = (
        project(x).view(B, T, H, K).transpose(1, 2) for project in (module.query_global, module.key_global)
    )
    rows = (q[:, :, : example.n_global] @ k.mT * K**-0.5).softmax(-1)
    assert_close(found.weights[:, :, : example.n_global], rows)
    assert not torch.allclose(found.weights, (q @ k.mT * K**-0.5).softmax(-1), atol=0.01)


def test_additive_weights_of_a_recurrence_are_those_of_the_formula():
    torch.manual_seed(3)
    spec = parse(MIXER.entry("attentive_gru").spec, {"type": "attentive_gru"})
    module = MIXER.build(spec, d_model=D).double().eval()
    x, memory = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    keys = torch.arange(S) < torch.tensor([[S], [3]])
    rest = {"memory": memory, "memory_mask": Mask(keys=keys), "position": None, "cache": None}
    states = []
    step = module._step
    module._step = lambda given, state: states.append(state) or step(given, state)
    (found,) = attentions_in(module, lambda: module(x, mask=Mask(causal=True), **rest)).found
    assert (found.name, found.part, found.is_cross) == ("attention", "additive", True)
    looked = module.attention
    expected = torch.zeros(B, 1, T, S, dtype=torch.float64)
    for b in range(B):
        for t in range(T):
            scores = [
                (looked.energy[0] @ (looked.query(states[t][b]) + looked.key(memory[b, j])).tanh()).exp()
                if keys[b, j]
                else torch.zeros((), dtype=torch.float64)
                for j in range(S)
            ]
            expected[b, 0, t] = torch.stack(scores) / sum(scores)
    assert_close(found.weights, expected)


def test_dot_weights_of_an_attended_mixer_are_those_of_the_formula():
    torch.manual_seed(4)
    spec = parse(MIXER.entry("attended").spec, {"type": "attended"})
    module = MIXER.build(spec, d_model=D).double().eval()
    x, memory = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    rest = {"memory": memory, "memory_mask": Mask(), "position": None, "cache": None}
    (found,) = attentions_in(module, lambda: module(x, mask=Mask(causal=True), **rest)).found
    hidden = module.mixer(x, mask=Mask(causal=True), **rest)
    expected = torch.zeros(B, 1, T, S, dtype=torch.float64)
    for b in range(B):
        for t in range(T):
            scores = torch.stack([(hidden[b, t] @ memory[b, j]).exp() for j in range(S)])
            expected[b, 0, t] = scores / scores.sum()
    assert_close(found.weights, expected)
    assert found.difference is not None
    assert found.difference < 1e-9


def model(*overrides, preset="transformer_base"):
    torch.manual_seed(0)
    spec = zoo.load(preset, *overrides, scale="tiny").model
    return zoo.build(spec).eval()


def inputs():
    torch.manual_seed(1)
    return torch.randint(5, 50, (B, S)), torch.randint(5, 50, (B, T))


def test_every_attention_of_a_model_is_found_and_changes_nothing():
    built, given = model(), inputs()
    before = built(*given)
    found = attention_weights(built, *given).found
    assert [each.name for each in found] == [
        *(f"encoder.layers.{i}.self_attention" for i in (0, 1)),
        *(f"decoder.layers.{i}.{part}" for i in (0, 1) for part in ("self_attention", "cross_attention")),
    ]
    assert [(each.stack, each.layer, each.is_cross) for each in found[-2:]] == [
        ("decoder", 1, False),
        ("decoder", 1, True),
    ]
    assert {tuple(each.weights.shape) for each in found if each.is_cross} == {(B, 4, T, S)}
    assert all(each.is_confirmed and each.difference is not None for each in found)
    assert torch.equal(built(*given), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in built.modules())


def test_layers_and_heads_are_chosen_by_number():
    built, given = model(), inputs()
    whole = {each.name: each.weights for each in attention_weights(built, *given).found}
    found = attention_weights(built, *given, layers=[1], heads=[3, 0]).found
    assert [each.name for each in found] == [name for name in whole if ".layers.1." in name]
    for each in found:
        assert each.heads == (0, 3)
        assert_close(each.weights, whole[each.name][:, [0, 3]])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"layers": [7]}, "layers: no layer 7: encoder has 0 to 1, decoder has 0 to 1"),
        ({"layers": [0, -1, 2]}, "layers: no layers -1, 2: encoder has 0 to 1"),
        ({"heads": [4]}, "heads: no head 4: there are heads 0 to 3"),
        ({"heads": [-1]}, "heads: no head -1"),
    ],
)
def test_a_layer_or_head_that_there_is_not_is_refused_with_what_there_is(chosen, message):
    with pytest.raises(SpecError, match=message):
        attention_weights(model(), *inputs(), **chosen)


def test_a_model_that_attends_by_no_softmax_is_refused_by_what_it_has():
    with pytest.raises(
        SpecError, match="nothing attends by a softmax; it mixes positions by lstm, seeded_lstm"
    ):
        attention_weights(model(preset="seq2seq_lstm"), *inputs())
    with pytest.raises(SpecError, match=r"nothing attends by a softmax in layer 0; .* by lstm, seeded_lstm"):
        attention_weights(model(preset="seq2seq_luong"), *inputs(), layers=[0])


def test_what_attends_without_a_softmax_is_left_out_by_name():
    linear = "self_attention={type: linear, n_heads: 4}"
    built = model(
        f"model.encoder.layer.{linear}", "model.decoder.layer.self_attention={type: multi_head, n_heads: 4}"
    )
    found = attention_weights(built, *inputs())
    assert found.found[0].name == "decoder.layers.0.self_attention"
    assert found.without == tuple((f"encoder.layers.{i}.self_attention", "linear") for i in (0, 1))
    assert attention_weights(model(preset="seq2seq_bahdanau"), *inputs()).without == (
        ("encoder.layers.0.mixer", "gru"),
    )


@pytest.mark.parametrize("dtype", list(TOLERANCES))
def test_the_model_s_own_kernel_is_compared_and_a_wrong_one_is_told(dtype, monkeypatch):
    built, given = model().to(dtype), inputs()
    assert all(each.is_confirmed for each in attention_weights(built, *given).found)
    right = kernels.attend_eager
    wrongs = (lambda out: out.roll(1, dims=2), lambda out: out * torch.nan)
    for wrong in wrongs:
        for module in (kernels.sdpa, kernels.matmul):  # whichever is chosen
            monkeypatch.setattr(
                module,
                "attention",
                lambda q, k, v, *, dropout, wrong=wrong, **rest: wrong(right(q, k, v, **rest)[0]),
            )
        assert not any(each.is_confirmed for each in attention_weights(built, *given).found)


def test_an_error_leaves_nothing_behind():
    built = model()
    with pytest.raises(ValueError, match="one batch"):
        attention_weights(built, inputs()[0], inputs()[1][:1])
    with pytest.raises(ValueError, match="out of range"):
        attention_weights(built, inputs()[0], inputs()[1] + 10**6)
    assert watching.current is None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in built.modules())


def test_a_model_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        attention_weights(model().train(), *inputs())


def test_several_softmaxes_of_a_call_are_heads_of_a_part_that_is_in_no_registry():
    class Twice(nn.Module):
        def forward(self, x):
            x = x[:, None]
            return sum(kernels.attend(x, x, x, mask=Mask(), scale=scale) for scale in (0.1, 2.0))

    x, module = torch.randn(B, T, D), Twice().eval()
    (found,) = attention_weights(module, x).found
    assert (found.part, found.stack, found.layer, found.heads) == ("Twice", "", None, (0, 1))
    expected = torch.stack([(scale * x @ x.mT).softmax(-1) for scale in (0.1, 2.0)], 1)
    assert_close(found.weights, expected)
