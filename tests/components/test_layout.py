import copy
from typing import Literal

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from registry import SpecError, check, parse
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.stack import StackSpec
from zoo.components.layout.deep_norm import DeepNorm
from zoo.components.layout.layer_scale import LayerScale, LayerScaleSpec
from zoo.components.layout.output_norm import OutputNorm, OutputNormSpec
from zoo.components.layout.parallel import Parallel, ParallelSpec
from zoo.components.layout.post_norm import PostNorm, PostNormSpec
from zoo.components.layout.pre_norm import PreNorm, PreNormSpec
from zoo.components.layout.residual_after_norm import ResidualAfterNorm
from zoo.components.layout.rezero import ReZero
from zoo.components.layout.sandwich import Sandwich, SandwichSpec
from zoo.components.layout.stochastic_depth import StochasticDepth, StochasticDepthSpec
from zoo.components.norm.layer_norm import LayerNormSpec
from zoo.components.norm.none import NoNormSpec
from zoo.components.norm.rms_norm import RMSNormSpec
from zoo.kinds import LAYOUT, LayoutSpec

D = 6
NORMS = (LayerNormSpec(), RMSNormSpec())
SUBLAYERS = [torch.sin, torch.exp]


def randomised(cls, norms=NORMS, dropout=0.0, **fields):
    torch.manual_seed(0)
    layout = cls(d_model=D, norms=norms, dropout=dropout, **fields)
    for parameter in layout.parameters():
        nn.init.normal_(parameter)
    return layout


def given():
    return torch.randn(2, 5, D)


# Each layout's formula


def test_post_norm_normalises_each_sum():
    layout, x = randomised(PostNorm), given()
    first = layout.norms[0](x + x.sin())
    assert_close(layout(x, SUBLAYERS), layout.norms[1](first + first.exp()))


def test_pre_norm_normalises_each_branch():
    layout, x = randomised(PreNorm), given()
    first = x + layout.norms[0](x).sin()
    assert_close(layout(x, SUBLAYERS), first + layout.norms[1](first).exp())


def test_sandwich_normalises_each_branch_before_and_after():
    layout, x = randomised(Sandwich), given()
    first = x + layout.output_norms[0](layout.norms[0](x).sin())
    assert_close(layout(x, SUBLAYERS), first + layout.output_norms[1](layout.norms[1](first).exp()))


def test_output_norm_normalises_what_each_sublayer_gives():
    layout, x = randomised(OutputNorm), given()
    first = x + layout.norms[0](x.sin())
    assert_close(layout(x, SUBLAYERS), first + layout.norms[1](first.exp()))


def test_parallel_sublayers_read_the_same_input_each_with_its_norm():
    layout, x = randomised(Parallel, shared_norm=False), given()
    assert_close(layout(x, SUBLAYERS), x + layout.norms[0](x).sin() + layout.norms[1](x).exp())


def test_parallel_sublayers_may_share_one_norm():
    layout, x = randomised(Parallel, norms=(LayerNormSpec(), LayerNormSpec()), shared_norm=True), given()
    h = layout.norms[0](x)
    assert_close(layout(x, SUBLAYERS), x + h.sin() + h.exp())
    assert len(layout.norms) == 1


def paths(layout, norms=NORMS):
    """Where something is wrong with a layout that stands here."""
    return [problem.path for problem in check(layout, "here", norms=norms)]


def test_one_norm_of_several_forms_is_refused():
    with pytest.raises(
        ValueError, match=r"shared_norm takes one form of norm .*, got layer_norm and rms_norm"
    ):
        ParallelSpec(shared_norm=True).check(norms=NORMS)
    wrapped = LayerScaleSpec(layout=StochasticDepthSpec(layout=ParallelSpec(shared_norm=True)))
    assert paths(wrapped) == ["here.layout.layout"]
    assert paths(wrapped, NORMS[:1] * 2) == []


def test_deep_norm_weighs_the_residual():
    layout, x = randomised(DeepNorm, alpha=1.7), given()
    first = layout.norms[0](1.7 * x + x.sin())
    assert_close(layout(x, SUBLAYERS), layout.norms[1](1.7 * first + first.exp()))


def test_rezero_weighs_each_branch_with_the_layers_number():
    layout, x = randomised(ReZero), given()
    first = x + layout.alpha * layout.norms[0](x).sin()
    assert_close(layout(x, SUBLAYERS), first + layout.alpha * layout.norms[1](first).exp())


def test_rezero_starts_as_the_identity_and_learns_at_once():
    layout, x = ReZero(d_model=D, norms=(NoNormSpec(),) * 2, dropout=0.0), given()
    out = layout(x, SUBLAYERS)
    assert torch.equal(out, x)
    (out * torch.randn_like(out)).sum().backward()
    assert layout.alpha.grad.any()


def test_residual_after_norm_adds_to_the_normalised():
    layout, x = randomised(ResidualAfterNorm), given()
    h = layout.norms[0](x)
    g = layout.norms[1](h + h.sin())
    assert_close(layout(x, SUBLAYERS), g + g.exp())


def test_layer_scale_is_the_inner_layout_over_scaled_sublayers():
    layout, x = randomised(LayerScale, init=0.5, layout=PostNormSpec()), given()
    first = layout.inner.norms[0](x + layout.gains[0] * x.sin())
    assert_close(layout(x, SUBLAYERS), layout.inner.norms[1](first + layout.gains[1] * first.exp()))


def test_layer_scale_starts_where_the_spec_says():
    layout = LayerScale(d_model=D, norms=NORMS, dropout=0.0, init=0.25, layout=PreNormSpec())
    assert [gain.tolist() for gain in layout.gains] == [[0.25] * D] * 2


# Against the layers of published models


def bloom_layer(residual_after_norm):
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    config = bloom.BloomConfig(
        hidden_size=D, n_head=2, hidden_dropout=0.0, attention_dropout=0.0,
        apply_residual_connection_post_layernorm=residual_after_norm,
    )  # fmt: skip
    config._attn_implementation = "eager"
    block = bloom.BloomBlock(config, layer_idx=0)
    mask = torch.zeros(2, 1, 5, 5)

    def attend(x):
        return block.self_attention(x, torch.zeros_like(x), torch.zeros(4, 1, 5), mask)[0]

    norms = [block.input_layernorm, block.post_attention_layernorm]
    sublayers = [attend, lambda x: block.mlp(x, torch.zeros_like(x))]
    return norms, sublayers, lambda x: block(x, torch.zeros(4, 1, 5), mask)[0]


def neox_layer(parallel):
    neox = pytest.importorskip("transformers.models.gpt_neox.modeling_gpt_neox")
    config = neox.GPTNeoXConfig(
        hidden_size=8, num_attention_heads=2, intermediate_size=9, use_parallel_residual=parallel
    )
    config._attn_implementation = "eager"
    layer = neox.GPTNeoXLayer(config, 0).eval()
    turn = neox.GPTNeoXRotaryEmbedding(config)(torch.randn(2, 5, 8), torch.arange(5)[None])
    norms = [layer.input_layernorm, layer.post_attention_layernorm]

    def attend(x):
        return layer.attention(x, attention_mask=None, position_embeddings=turn)[0]

    return norms, [attend, layer.mlp], lambda x: layer(x, attention_mask=None, position_embeddings=turn)


def gptj_layer():
    gptj = pytest.importorskip("transformers.models.gptj.modeling_gptj")
    config = gptj.GPTJConfig(n_embd=8, n_head=2, rotary_dim=2, n_inner=9)
    config._attn_implementation = "eager"
    layer = gptj.GPTJBlock(config, layer_idx=0).eval()
    ids = torch.arange(5)[None].expand(2, 5)
    turn = gptj.GPTJRotaryEmbedding(config)(torch.randn(2, 5, 8), position_ids=ids)

    def attend(x):
        return layer.attn(x, position_embeddings=turn)[0]

    def run(x):
        return layer(x, position_embeddings=turn)

    return [layer.ln_1], [attend, layer.mlp], run


def rotary_layer(module, prefix, norms):
    """A layer of transformers with rotary positions: the norms named, its sublayers and the layer itself."""
    models = pytest.importorskip(f"transformers.models.{module}.modeling_{module}")
    config = getattr(models, f"{prefix}Config")(
        hidden_size=8, num_attention_heads=2, num_key_value_heads=1, head_dim=4, intermediate_size=9,
        num_hidden_layers=1, pad_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    layer = getattr(models, f"{prefix}DecoderLayer")(config, 0).eval()
    turn = getattr(models, f"{prefix}RotaryEmbedding")(config)(torch.randn(2, 5, 8), torch.arange(5)[None])

    def attend(x):
        return layer.self_attn(x, position_embeddings=turn, attention_mask=None)[0]

    def run(x):
        return layer(x, position_embeddings=turn, attention_mask=None)

    return [getattr(layer, name) for name in norms], [attend, layer.mlp], run


SANDWICHED = (
    "input_layernorm",
    "pre_feedforward_layernorm",
    "post_attention_layernorm",
    "post_feedforward_layernorm",
)
LAYERS = {
    "bloom": (lambda: bloom_layer(False), "pre_norm", {}),
    "bloom-residual-after-norm": (lambda: bloom_layer(True), "residual_after_norm", {}),
    "gpt-neox": (lambda: neox_layer(True), "parallel", {}),
    "gpt-neox-in-turn": (lambda: neox_layer(False), "pre_norm", {}),
    "gpt-j": (gptj_layer, "parallel", {"shared_norm": True}),
    "gemma-2": (lambda: rotary_layer("gemma2", "Gemma2", SANDWICHED), "sandwich", {}),
    "olmo-2": (lambda: rotary_layer("olmo2", "Olmo2", SANDWICHED[2:]), "output_norm", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_a_layout_wires_the_sublayers_as_the_published_model_does(name):
    torch.manual_seed(0)
    make, layout_name, fields = LAYERS[name]
    norms, sublayers, layer = make()
    parameters = [p for norm in norms for p in norm.parameters()] + [
        p for part in sublayers if isinstance(part, nn.Module) for p in part.parameters()
    ]
    for parameter in parameters:
        nn.init.normal_(parameter, std=0.5)
    d_model = norms[0].weight.shape[0]
    spec = parse(LAYOUT.entry(layout_name).spec, {"type": layout_name, **fields})
    layout = LAYOUT.build(spec, d_model=d_model, norms=(LayerNormSpec(),) * 2, dropout=0.0)
    layout.norms = nn.ModuleList(norms[:2])
    if len(norms) == 4:
        layout.output_norms = nn.ModuleList(norms[2:])
    x = torch.randn(2, 5, d_model)
    assert_close(layout(x, sublayers), layer(x))


# Dropout and stochastic depth


def identity_norms(layout):
    """The layout with norms that change nothing, so that what dropout does is seen at its end."""
    layout = copy.deepcopy(layout)
    for name in ("norms", "output_norms"):
        if hasattr(layout, name):
            setattr(layout, name, nn.ModuleList(nn.Identity() for _ in getattr(layout, name)))
    return layout


PLAIN = [
    (PostNorm, {}, 1.0),
    (PreNorm, {}, 1.0),
    (Sandwich, {}, 1.0),
    (OutputNorm, {}, 1.0),
    (Parallel, {"shared_norm": False}, 1.0),
    (DeepNorm, {"alpha": 1.5}, 1.5),
    (ResidualAfterNorm, {}, 1.0),
]


@pytest.mark.parametrize(("cls", "fields", "alpha"), PLAIN, ids=[cls.__name__ for cls, _, _ in PLAIN])
def test_dropout_falls_on_the_branch_and_spares_the_residual(cls, fields, alpha):
    torch.manual_seed(0)
    layout = identity_norms(cls(d_model=D, norms=(LayerNormSpec(),), dropout=0.5, **fields))
    x = torch.randn(40, 50, D)
    out = layout(x, [torch.ones_like])
    assert set((out - alpha * x).round(decimals=3).abs().unique().tolist()) == {0.0, 2.0}
    assert_close(layout.eval()(x, [torch.ones_like]), alpha * x + 1)


def test_rezero_and_layer_scale_drop_values_of_the_scaled_branch():
    torch.manual_seed(0)
    rezero = ReZero(d_model=D, norms=(NoNormSpec(),), dropout=0.5)
    nn.init.constant_(rezero.alpha, 0.25)
    scale = LayerScale(d_model=D, norms=(NoNormSpec(),), dropout=0.5, init=0.25, layout=PreNormSpec())
    x = torch.randn(40, 50, D)
    for layout in (rezero, scale):
        out = layout(x, [torch.ones_like])
        assert set((out - x).round(decimals=3).abs().unique().tolist()) == {0.0, 0.5}


def test_stochastic_depth_drops_whole_sublayers_by_sample():
    torch.manual_seed(0)
    layout = StochasticDepth(
        d_model=D, norms=(NoNormSpec(),) * 2, dropout=0.0, drop=0.2, layout=PreNormSpec()
    )
    x = torch.randn(4000, 3, D, dtype=torch.float64)
    out = layout(x, [torch.ones_like, lambda x: 10 * torch.ones_like(x)])
    branches = (out - x).round(decimals=6)
    assert (branches == branches[:, :1, :1]).all()  # one draw for all of a sample
    found = branches[:, 0, 0]
    for value, share in (
        (0.0, 0.04),
        (1.25, 0.16),
        (12.5, 0.16),
        (13.75, 0.64),
    ):  # sublayers fall independently
        assert (found == value).double().mean().item() == pytest.approx(share, abs=0.03)


def test_stochastic_depth_is_the_inner_layout_in_evaluation_and_at_probability_zero():
    inner, x = randomised(PostNorm), given()
    for drop, training in ((0.9, False), (0.0, True)):
        layout = StochasticDepth(d_model=D, norms=NORMS, dropout=0.0, drop=drop, layout=PostNormSpec())
        layout.inner.load_state_dict(inner.state_dict())
        assert torch.equal(layout.train(training)(x, SUBLAYERS), inner(x, SUBLAYERS))


def test_a_skipped_sublayer_gets_no_gradient():
    torch.manual_seed(1)
    layout = StochasticDepth(d_model=D, norms=(NoNormSpec(),), dropout=0.0, drop=0.5, layout=PreNormSpec())
    x = torch.randn(9, 1, D, requires_grad=True)
    out = layout(x, [lambda x: 3 * x])
    kept = (out != x).any(-1, keepdim=True)
    out.sum().backward()
    assert kept.any()
    assert not kept.all()
    assert_close(x.grad, torch.where(kept, 7.0, 1.0).expand_as(x))


# Specs


@pytest.mark.parametrize("name", LAYOUT.names())
def test_every_layout_says_whether_it_ends_normed_as_it_does(name):
    for spec in LAYOUT.examples(name):
        layout = LAYOUT.build(spec, d_model=D, norms=(RMSNormSpec(eps=1e-9),) * 2, dropout=0.0).eval()
        out = layout(given() * 5, [torch.sin, torch.cos])
        is_normed = torch.allclose(out.square().mean(-1), torch.ones(2, 5), atol=1e-4)
        assert is_normed is spec.ends_normed, spec


@pytest.mark.parametrize("name", LAYOUT.names())
def test_every_layout_says_whether_it_norms_branches_as_it_does(name):
    for spec in LAYOUT.examples(name):
        layout = LAYOUT.build(spec, d_model=D, norms=(RMSNormSpec(eps=1e-9),) * 2, dropout=0.0).eval()
        for parameter in layout.parameters():
            nn.init.constant_(parameter, 0.5)
        x = given()
        outs = [layout(x, [lambda x, scale=scale: scale * x.cos()] * 2) for scale in (1.0, 3.0)]
        assert torch.allclose(*outs, atol=1e-4) is spec.norms_branches, spec


def as_wired(spec, x, sublayers, *, learned, gains):
    """What a layout's wiring says that it computes; gains are those of each sublayer's norms."""
    factors = {"× α": learned, "× gain": learned, "× √½": 0.5**0.5, "skipped at times": 1.0}
    pairs = list(zip(sublayers, gains, strict=True))
    if "parallel" in spec.wiring:
        at, end = spec.wiring.index("parallel"), spec.wiring.index("add")
        assert spec.wiring[0] == "fork"
        shared = along(spec.wiring[1:at], x, None, gains[0], factors, None)
        branch = spec.wiring[at + 1 : end]
        return x + sum(along(branch, shared, *pair, factors, None) for pair in pairs)
    for pair in pairs:
        x = along(spec.wiring, x, *pair, factors, spec)
    return x


def along(wiring, x, sublayer, gain, factors, spec):
    residual = None
    for step in wiring:
        if step.startswith("fork"):
            residual = x * (spec.alpha if step == "fork × α" else 1.0)
        elif step == "add":
            x = residual + x
        elif step == "norm":
            x = gain * x / x.square().mean(-1, keepdim=True).sqrt()
        else:
            x = (
                sublayer(x)
                if step == "sublayer"
                else x * (factors.get(step) or float(step.removeprefix("× ")))
            )
    return x


@pytest.mark.parametrize("name", LAYOUT.names())
def test_every_layout_computes_what_its_wiring_shows(name):
    for spec in LAYOUT.examples(name):
        norms = (RMSNormSpec(eps=1e-12),) * 2 if spec.uses_norms else ()
        layout = LAYOUT.build(spec, d_model=D, norms=norms, dropout=0.0).eval()
        for where, parameter in layout.named_parameters():
            nn.init.constant_(parameter, 0.4 if "norms.1." in where else 0.7)
        x = given()
        expected = as_wired(spec, x, [torch.sin, torch.cos], learned=0.7, gains=(0.7, 0.4))
        assert_close(layout(x, [torch.sin, torch.cos]), expected)


def test_wrappers_end_as_the_layout_within():
    for inner, ends in (("pre_norm", False), ("post_norm", True)):
        spec = parse(StochasticDepthSpec, {"layout": {"type": "layer_scale", "layout": inner}})
        assert spec.ends_normed is ends
        assert parse(LayerScaleSpec, {"layout": inner}).ends_normed is ends


def stack(layout):
    layer = {"self_attention": {"type": "multi_head", "n_heads": 2}, "ffn": "mlp", "layout": layout}
    return parse(StackSpec, {"n_layers": 2, "layer": layer})


def test_a_stack_ends_with_a_norm_where_the_wrapped_layout_does_not():
    assert stack({"type": "layer_scale", "layout": "pre_norm"}).final_norm == LayerNormSpec()
    gained = {"type": "scaled_branch", "factor": 0.5, "layout": {"type": "layer_scale", "layout": "plain"}}
    assert stack(gained).layer.layout.scales_branches
    assert stack({"type": "layer_scale", "layout": "post_norm"}).final_norm is None


@pytest.mark.parametrize("inner", [SandwichSpec(), OutputNormSpec()])
def test_wrappers_refuse_a_layout_that_would_undo_them(inner):
    scale = LayerScaleSpec(layout=inner)
    assert paths(scale) == ["here.layout"]
    assert paths(StochasticDepthSpec(layout=scale)) == ["here.layout.layout"]
    assert paths(StochasticDepthSpec(layout=inner)) == ["here.layout"]
    assert paths(LayerScaleSpec(layout=StochasticDepthSpec(layout=inner))) == ["here.layout.layout"]
    assert paths(LayerScaleSpec()) == paths(StochasticDepthSpec()) == []
    with pytest.raises(
        SpecError, match=r"normalises what a sublayer gives, .*; take a layout such as pre_norm"
    ):
        parse(LayerScaleSpec, {"layout": inner.type})


def test_a_model_with_a_refused_layout_is_refused_at_its_place():
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 3},
        "ffn": "mlp",
        "layout": {"type": "stochastic_depth", "layout": "sandwich"},
    }
    model = {
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {"n_layers": 2, "layer": layer},
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    with pytest.raises(SpecError, match=r"decoder\.layer\.layout\.layout: normalises what a sublayer gives"):
        parse(DecoderOnlySpec, model)


def test_deep_norm_must_be_told_its_alpha():
    with pytest.raises(SpecError, match="alpha: missing key"):
        parse(LAYOUT.entry("deep_norm").spec, {"type": "deep_norm"})


def test_a_layout_whose_spec_does_not_say_how_it_ends_cannot_be_used():
    class SilentSpec(LayoutSpec):
        type: Literal["silent"] = "silent"

    with pytest.raises(TypeError, match="ends_normed"):
        SilentSpec()
