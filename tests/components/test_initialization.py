import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import zoo
from registry import parse
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.components.initialization.deep_norm import DeepNormInitialization
from zoo.components.initialization.normal import NormalInitialization
from zoo.components.initialization.tensor2tensor import Tensor2TensorInitialization

D = 96


def modules():
    return nn.ModuleDict(
        {
            "linear": nn.Linear(300, 200),
            "conv1d": nn.Conv1d(80, 90, 3),
            "conv2d": nn.Conv2d(30, 40, (3, 5)),
            "embedding": nn.Embedding(1000, 64),
        }
    )


def relative(weight, std):
    return weight.std().item() / std


def about_1(weight):
    """A ratio of deviations of so many numbers is within 4.5 of its own deviations of 1."""
    return pytest.approx(1, abs=4.5 / math.sqrt(2 * weight.numel()))


def every_bias_is_zero(model):
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    return len(biases) > 0 and not any(bias.any() for bias in biases)


def layer():
    mixture = {"type": "mixture_of_experts", "n_experts": 3, "expert": {"type": "glu", "d_ff": 80}}
    return {
        "self_attention": {"type": "multi_head", "n_heads": 4, "bias": True},
        "ffn": mixture,
        "layout": "pre_norm",
    }


def decoder(initialization, n_layers=5):
    spec = {
        "d_model": D,
        "tokens": {"type": "tokens", "vocab_size": 500},
        "decoder": {"n_layers": n_layers, "layer": layer()},
        "head": {"type": "language_model", "predicts": "tokens"},
        "initialization": initialization,
    }
    torch.manual_seed(0)
    return build(parse(DecoderOnlySpec, spec))


def encoder_decoder(initialization):
    cross = {"type": "multi_head", "n_heads": 4}
    spec = {
        "d_model": D,
        "source": {"type": "tokens", "vocab_size": 500},
        "target": {"share": "source"},
        "encoder": {"n_layers": 2, "layer": {**layer(), "ffn": {"type": "mlp", "d_ff": 160}}},
        "decoder": {"like": "encoder", "n_layers": 3, "cross_attention": cross},
        "head": {"type": "language_model", "predicts": "target"},
        "initialization": initialization,
    }
    torch.manual_seed(0)
    return build(parse(EncoderDecoderSpec, spec))


def test_tensor2tensor_draws_matrices_uniformly_and_embeddings_normally():
    torch.manual_seed(0)
    model = modules()
    Tensor2TensorInitialization()(model)
    fans = {"linear": 300 + 200, "conv1d": (80 + 90) * 3, "conv2d": (30 + 40) * 15}
    for name, both in fans.items():
        bound = math.sqrt(6 / both)
        weight = model[name].weight
        assert 0.99 * bound < weight.abs().max() <= bound
        assert relative(weight, bound / math.sqrt(3)) == pytest.approx(1, abs=0.02)
    assert every_bias_is_zero(model)
    assert relative(model["embedding"].weight, 64**-0.5) == pytest.approx(1, abs=0.02)


def test_normal_has_one_deviation():
    torch.manual_seed(0)
    model = modules()
    NormalInitialization(std=0.05, residual_scaling=False)(model)
    for module in model.values():
        assert relative(module.weight, 0.05) == pytest.approx(1, abs=0.02)
        assert abs(module.weight.mean().item()) < 0.05 * 0.02
    assert every_bias_is_zero(model)


def test_normal_divides_the_projections_that_end_sublayers_by_the_root_of_their_number():
    model = decoder({"type": "normal", "std": 0.05, "residual_scaling": True}, n_layers=8)
    std = {"output": 0.05 / 4, "outer": 0.05 / 4}  # 2 · 8 sublayers
    seen = set()
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            name = path.rpartition(".")[2]
            seen.add(name)
            assert relative(module.weight, std.get(name, 0.05)) == about_1(module.weight), path
    assert seen == {"tokens", "query", "key", "value", "output", "router", "gate", "inner", "outer"}
    assert every_bias_is_zero(model)


def test_residual_scaling_counts_the_sublayers_of_each_stack():
    model = encoder_decoder({"type": "normal", "std": 0.05, "residual_scaling": True})
    for stack, n_sublayers in ((model.encoder, 2 * 2), (model.decoder, 3 * 3)):
        ends = [part for one in stack.layers for part in (one.self_attention.output, one.ffn.outer)]
        ends += [one.cross_attention.output for one in stack.layers if one.cross_attention is not None]
        assert len(ends) == n_sublayers
        for end in ends:
            assert relative(end.weight, 0.05 / n_sublayers**0.5) == pytest.approx(1, abs=0.05)
        assert relative(stack.layers[1].ffn.inner.weight, 0.05) == pytest.approx(1, abs=0.05)


def test_normal_without_scaling_leaves_no_projection_out():
    model = decoder({"type": "normal", "std": 0.05}, n_layers=2)
    assert relative(model.decoder.layers[1].self_attention.output.weight, 0.05) == pytest.approx(1, abs=0.05)


def test_normal_scales_as_gpt_2_does():
    gpt2 = pytest.importorskip("transformers.models.gpt2.modeling_gpt2")
    config = gpt2.GPT2Config(
        n_embd=D, n_layer=5, n_head=4, n_positions=64, vocab_size=500, initializer_range=0.03, n_inner=3 * D
    )
    torch.manual_seed(0)
    theirs = gpt2.GPT2LMHeadModel(config).transformer.h[3]
    ours = decoder({"type": "normal", "std": 0.03, "residual_scaling": True}).decoder.layers[3]
    for mine, reference in (
        (ours.self_attention.output, theirs.attn.c_proj),
        (ours.ffn.experts[1].outer, theirs.mlp.c_proj),
        (ours.ffn.experts[2].inner, theirs.mlp.c_fc),
        (ours.self_attention.query, theirs.attn.c_attn),
    ):
        assert relative(mine.weight, reference.weight.std().item()) == pytest.approx(1, abs=0.05)


def test_deep_norm_scales_ffn_value_and_output_projections():
    model = decoder({"type": "deep_norm", "beta": 0.25})
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear):
            name = path.rpartition(".")[2]
            gain = 0.25 if name in ("value", "output", "gate", "inner", "outer") else 1.0
            std = gain * math.sqrt(2 / sum(module.weight.shape))
            wanted = pytest.approx(1, abs=0.15 if name == "router" else 0.05)
            assert relative(module.weight, std) == wanted, path
    assert relative(model.tokens.weight, D**-0.5) == pytest.approx(1, abs=0.02)
    assert every_bias_is_zero(model)


def test_deep_norm_has_a_gain_of_its_own_for_the_decoder():
    model = encoder_decoder({"type": "deep_norm", "beta": 0.5, "decoder_beta": 0.2})
    std = math.sqrt(2 / (D + D))
    assert relative(model.encoder.layers[0].self_attention.value.weight, 0.5 * std) == pytest.approx(
        1, abs=0.05
    )
    assert relative(model.decoder.layers[2].cross_attention.value.weight, 0.2 * std) == pytest.approx(
        1, abs=0.05
    )
    assert relative(model.decoder.layers[2].cross_attention.key.weight, std) == pytest.approx(1, abs=0.05)
    model = encoder_decoder({"type": "deep_norm", "beta": 0.5})
    assert relative(model.decoder.layers[2].self_attention.value.weight, 0.5 * std) == pytest.approx(
        1, abs=0.05
    )


class Outer(nn.Module):
    """A part that says nothing, with matrices of the names that our own have."""

    def __init__(self, d_model):
        super().__init__()
        self.inner, self.outer = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)


class Said(Outer):
    """The same, and it says what one of them is for, another than its name tells."""

    def roles(self):
        return {self.inner: "residual_output"}


class Branches(nn.Module):
    """Stands for a stack of five branches, of which one says nothing and one has two ends."""

    is_causal = True

    def __init__(self):
        super().__init__()
        self.silent, self.said = Outer(D), nn.ModuleList(Said(D) for _ in range(3))
        self.mixture = nn.ModuleList(Said(D) for _ in range(2))

    @property
    def residual_branches(self):
        return [self.silent, *self.said, self.mixture]


@pytest.mark.parametrize(
    ("initialization", "ordinary", "at_the_end"),
    [
        (
            NormalInitialization(std=0.05, residual_scaling=True),
            0.05,
            0.05 / 2,
        ),  # four branches say where they end
        (DeepNormInitialization(beta=0.5, decoder_beta=0.2), D**-0.5, 0.2 * D**-0.5),
    ],
    ids=["normal", "deep_norm"],
)
def test_a_matrix_is_drawn_by_what_its_part_says_of_it_whatever_its_name(
    initialization, ordinary, at_the_end
):
    torch.manual_seed(0)
    model = nn.ModuleDict({"anything": Branches(), "aside": Said(D)})
    initialization(model)
    ends = {part.inner for part in (*model["anything"].said, *model["anything"].mixture)}
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear):
            wanted = at_the_end if module in ends else ordinary
            assert relative(module.weight, wanted) == pytest.approx(1, abs=0.05), path


def test_a_models_branches_say_which_stack_they_are_of():
    model = encoder_decoder("tensor2tensor")
    assert not model.encoder.is_causal
    assert model.decoder.is_causal
    first = model.decoder.layers[0]
    assert model.decoder.residual_branches[:3] == [first.self_attention, first.cross_attention, first.ffn]
    assert len(model.encoder.residual_branches) == 2 * 2


@pytest.mark.parametrize(
    "initialization",
    [
        NormalInitialization(std=0.05, residual_scaling=True),
        Tensor2TensorInitialization(),
        DeepNormInitialization(beta=0.5, decoder_beta=None),
    ],
    ids=lambda initialization: type(initialization).__name__,
)
def test_what_is_frozen_normed_or_no_matrix_stays_as_it_was_made(initialization):
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "frozen": nn.Embedding.from_pretrained(torch.randn(7, D)),
            "weight_normed": weight_norm(nn.Conv1d(6, 8, 3), dim=2),
            "norm": nn.LayerNorm(D),
            "drawn": nn.Linear(D, 7),
        }
    )
    for parameter in model["norm"].parameters():
        nn.init.normal_(parameter)
    before = {name: p.clone() for name, p in model.named_parameters()}
    initialization(model)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"drawn.weight", "drawn.bias"}


@pytest.mark.parametrize("name", ["normal", "tensor2tensor"])
def test_a_head_of_its_own_is_drawn_and_a_tied_one_not_twice(name):
    run = zoo.load("gpt2", "model.head.tied=false", f"model.initialization={name}", scale="tiny")
    torch.manual_seed(1)
    model = zoo.build(run.model)
    wanted = 0.02 if name == "normal" else (2 / sum(model.head.weight.shape)) ** 0.5
    assert model.head.weight.std().item() == pytest.approx(wanted, rel=0.1)
    tied = zoo.build(zoo.load("gpt2", f"model.initialization={name}", scale="tiny").model)
    wanted = 0.02 if name == "normal" else tied.head.weight.shape[1] ** -0.5
    assert tied.head.weight.std().item() == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    ("override", "n_changed"),
    [
        ("model.encoder.layer.ffn={type: glu, d_ff: 64}", 0),
        ("model.position=learned", 0),
        ("model.encoder.n_layers=1", 0),
        ("model.encoder.layer.self_attention.n_kv_heads=2", 0),
        ("model.initialization={type: normal, std: 0.02}", 30),
    ],
)
def test_the_parts_that_two_models_of_a_seed_share_start_alike(override, n_changed):
    def weights(*overrides):
        torch.manual_seed(3)
        return build(zoo.load("multi30k_small", *overrides, scale="tiny").model).state_dict()

    one, other = weights(), weights(override)
    shared = [name for name in one if name in other and one[name].shape == other[name].shape]
    unlike = [name for name in shared if not torch.equal(one[name], other[name])]
    assert len(shared) > 30
    assert (len(unlike) >= n_changed) if n_changed else not unlike


@pytest.mark.parametrize(
    "mixing",
    [
        {"mixer": {"type": "mamba2", "d_head": 4}},
        {"mixer": {"type": "gated_delta", "n_heads": 2, "d_k": 4, "d_v": 4}},
        {"mixer": "diagonal_ssm"},
        {"mixer": {"type": "depthwise_convolution", "n_heads": 2}},
        {"mixer": "lstm"},
        {"self_attention": {"type": "additive", "n_heads": 2}},
    ],
)
def test_so_do_parts_with_first_values_of_their_own(mixing):
    def weights(ffn):
        data = {
            "d_model": 16,
            "tokens": {"type": "tokens", "vocab_size": 30},
            "decoder": {"n_layers": 2, "layer": {**mixing, "ffn": ffn}},
            "head": {"type": "language_model", "predicts": "tokens"},
        }
        torch.manual_seed(3)
        return build(parse(DecoderOnlySpec, data)).state_dict()

    one, other = weights({"type": "mlp", "d_ff": 8}), weights({"type": "glu", "d_ff": 24})
    own = [name for name in one if name.startswith("decoder.layers.1.") and ".ffn." not in name]
    assert own
    assert not [name for name in own if not torch.equal(one[name], other[name])]


def test_another_model_of_the_same_spec_starts_elsewhere_and_no_two_of_its_matrices_alike():
    spec = zoo.load("multi30k_small", scale="tiny").model
    torch.manual_seed(3)
    first, second = build(spec).state_dict(), build(spec).state_dict()
    assert not torch.equal(first["source.weight"], second["source.weight"])
    names = [name for name, tensor in first.items() if tensor.dim() == 2]
    values = [first[name].flatten()[:4].tolist() for name in names]
    assert len({tuple(each) for each in values}) == len({first[name].data_ptr() for name in names})
