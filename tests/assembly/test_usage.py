"""Every part in every slot: either the spec is refused, or two training steps give every parameter a gradient."""

import itertools
from typing import Any

import pytest
import torch

from registry import check, dump
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.assembly.encoder_only import EncoderOnlySpec
from zoo.components.layout.pre_norm import PreNormSpec
from zoo.kinds import ATTENTION, EMBEDDING, FFN, HEAD, LAYOUT, NORM, POSITION

D, V, B, T = 12, 31, 8, 7
TOKENS = {"type": "tokens", "vocab_size": V}
SPECS = {
    spec.model_fields["type"].default: spec for spec in (EncoderOnlySpec, DecoderOnlySpec, EncoderDecoderSpec)
}
STACKS = {"encoder_only": ["encoder"], "decoder_only": ["decoder"], "encoder_decoder": ["encoder", "decoder"]}
INPUTS = {"encoder_only": ["inputs"], "decoder_only": ["tokens"], "encoder_decoder": ["source", "target"]}
# Experts that no token was sent to; scores of a global token that stands first in a causal stack: it sees itself alone.
MAY_BE_ZERO = {"experts", "query_global", "key_global"}
PREDICTS = {"encoder_only": "inputs", "decoder_only": "tokens", "encoder_decoder": "target"}


def base(architecture: str) -> dict[str, Any]:
    """A small model, the same mapping at no two calls."""
    layer = {"layout": "pre_norm", "self_attention": {"type": "multi_head", "n_heads": 3},
             "ffn": {"type": "mlp", "d_ff": 11}, "dropout": 0.0}  # fmt: skip
    data: dict[str, Any] = {
        "type": architecture,
        "d_model": D,
        "head": {"type": "language_model", "predicts": PREDICTS[architecture]},
    }
    data |= {name: dict(TOKENS) for name in INPUTS[architecture]}
    for name in STACKS[architecture]:
        data[name] = {"layer": dict(layer), "layers": [{"layer": {}}, {"layer": {}}]}
    if architecture == "encoder_decoder":
        data["decoder"]["layer"]["cross_attention"] = {"type": "multi_head", "n_heads": 2}
    return data


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *places, last = path.split(".")
    for place in places:
        data = data[int(place)] if isinstance(data, list) else data[place]
    data[last] = value
    return data


def slots(architecture: str) -> dict[str, Any]:
    """The paths of every slot and its kind."""
    found = {"position": POSITION, "head": HEAD, **dict.fromkeys(INPUTS[architecture], EMBEDDING)}
    for stack in STACKS[architecture]:
        found |= {f"{stack}.{name}": NORM for name in ("input_norm", "final_norm")}
        found[f"{stack}.position"] = POSITION
        layer, second = f"{stack}.layer", f"{stack}.layers.1.layer"
        names = {"layout": LAYOUT, "norm": NORM, "attention_norm": NORM, "ffn": FFN}
        found |= {f"{layer}.{name}": kind for name, kind in names.items()}
        for form in (layer, second):
            found |= {f"{form}.position": POSITION, f"{form}.self_attention": ATTENTION}
        if architecture == "encoder_decoder" and stack == "decoder":
            found |= {f"{form}.cross_attention": ATTENTION for form in (layer, second)}
    return found


def problems(data: dict[str, Any]) -> list[str]:
    spec = SPECS[data["type"]].model_validate(data)
    return [str(problem) for problem in check(spec, "model")]


def without_gradient(data: dict[str, Any]) -> list[str]:
    """The parameters that two steps from random weights leave without a gradient, or with zeros only."""
    spec = SPECS[data["type"]].model_validate(data)
    torch.manual_seed(5)
    model = build(spec).double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    reached = set()
    for _ in range(2):  # some start at zero, so that what is before them learns from the second step on
        out = model(*(given(getattr(spec, name)) for name in INPUTS[data["type"]]))
        loss = (out * torch.randn_like(out)).sum() + sum(
            part.auxiliary_loss for part in model.modules() if vars(part).get("auxiliary_loss") is not None
        )
        model.zero_grad()
        loss.backward()
        reached |= {
            name
            for name, parameter in learning.items()
            if parameter.grad is not None and (parameter.grad.any() or MAY_BE_ZERO & set(name.split(".")))
        }
    return sorted(set(learning) - reached)


def given(embedding: Any) -> torch.Tensor:
    if not hasattr(embedding, "example_inputs"):  # it shares another's
        return torch.randint(5, V, (B, T))
    if hasattr(embedding, "vocab_size"):
        return torch.randint(5, embedding.vocab_size, (B, T))
    inputs, _ = embedding.example_inputs(B)
    return inputs.double()


def tried(cases: Any) -> tuple[int, list[str]]:
    """How many were accepted, and of those what is wrong."""
    n_accepted, wrong = 0, []
    for name, data in cases:
        if problems(data):
            continue
        n_accepted += 1
        try:
            if left := without_gradient(data):
                wrong.append(f"{name}: no gradient for {', '.join(left)}")
        except (ValueError, RuntimeError) as error:
            wrong.append(f"{name}: {error}")
    return n_accepted, wrong


def examples(kind: Any) -> list[dict[str, Any]]:
    return [dump(spec) for name in kind.names() for spec in kind.examples(name)]


@pytest.mark.parametrize(
    "architecture",
    ["encoder_only", "decoder_only", pytest.param("encoder_decoder", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    "kind", [ATTENTION, FFN, NORM, POSITION, LAYOUT, EMBEDDING, HEAD], ids=lambda kind: kind.name
)
def test_a_part_is_refused_in_its_slot_or_all_of_it_learns(architecture, kind):
    def cases():
        for path, slot in slots(architecture).items():
            for i, part in enumerate(examples(kind) if slot is kind else []):
                data = base(architecture)
                put(data, path, part)
                yield f"{path}: {part['type']} {i}", data

    n_accepted, wrong = tried(cases())
    assert wrong == []
    assert n_accepted >= 1


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [(POSITION, ATTENTION), (ATTENTION, LAYOUT), (LAYOUT, FFN)], ids=str)
def test_two_parts_are_refused_together_or_all_of_both_learns(kinds):
    places = {POSITION: "position", ATTENTION: "self_attention", LAYOUT: "layout", FFN: "ffn"}

    def cases():
        for parts in itertools.product(*(examples(kind) for kind in kinds)):
            data = base("encoder_only")
            for kind, part in zip(kinds, parts, strict=True):
                if kind is POSITION:
                    data["position"] = part
                else:
                    data["encoder"]["layer"][places[kind]] = part
            yield " and ".join(part["type"] for part in parts), data

    n_accepted, wrong = tried(cases())
    assert wrong == []
    assert n_accepted > 20


FRAMES = {"type": "mel_frames", "n_mels": 5}
PATCHES = {"type": "image_patches", "image_size": 8, "patch_size": 4}
RELATIVE = {"type": "relative_embeddings", "span": 4}
DISENTANGLED = {"type": "disentangled", "n_heads": 3, "position_terms": ["c2p"]}
CONVOLUTIONAL = {"type": "convolutional", "kernel_size": 4, "n_groups": 3}
ROTARY = {"type": "rotary"}
REFUSED = {
    "patches in a decoder's slot": (
        "decoder_only", {"tokens": PATCHES, "head": {"type": "pooled"}},
        "model.tokens: a decoder reads the tokens that it writes, and image_patches embeds none"),
    "steps of a series that an encoder-decoder writes": (
        "encoder_decoder", {"target": {"type": "series_steps"}, "head": {"type": "regression", "n_outputs": 16}},
        "model.target: a decoder reads the tokens that it writes, and series_steps embeds none"),
    "frames as what is written": (
        "encoder_decoder", {"target": FRAMES, "head": {"type": "language_model", "predicts": "source"}},
        "model.target: a decoder reads the tokens that it writes, and mel_frames embeds none"),
    "a shared embedding of frames": (
        "encoder_decoder", {"source": FRAMES, "target": {"share": "source"}, "head": {"type": "none"}},
        "model.target: a decoder reads the tokens"),
    "convolutional positions in a causal stack": (
        "decoder_only", {"position": CONVOLUTIONAL}, "convolutional positions look at later frames"),
    "the same where every layer has its own": (
        "decoder_only", {"position": CONVOLUTIONAL, "decoder.layer.position": ROTARY,
                         "decoder.layer.self_attention": {"type": "multi_head", "n_heads": 3}},
        "model.position: convolutional positions look at later frames"),
    "the same, of a model with an encoder": (
        "encoder_decoder", {"position": CONVOLUTIONAL}, "convolutional positions look at later frames"),
    "a table that no attention reads": (
        "encoder_only", {"position": RELATIVE},
        "model.position: nothing uses relative_embeddings positions: nothing in model.encoder"),
    "combined positions of which an attention reads neither": (
        "encoder_only", {"position": {"type": "combined", "embedded": {"type": "learned", "max_len": 9},
                                      "scored": "relative_buckets"},
                         "encoder.layer.self_attention": {"type": "block_sparse", "n_heads": 3}},
        "model.position: nothing uses combined positions"),
    "a table under an attention without terms": (
        "encoder_only", {"encoder.position": RELATIVE, "encoder.layer.self_attention":
                         {"type": "disentangled", "n_heads": 3, "position_terms": []}},
        "model.encoder.position: nothing uses relative_embeddings positions"),
    "a table that the decoder's copy does not use": (
        "encoder_decoder", {"position": RELATIVE, "encoder.layer.self_attention": DISENTANGLED},
        "model.position: nothing uses relative_embeddings positions: nothing in model.decoder"),
    "a table of one layer": (
        "encoder_only", {"encoder.layers.1.layer.position": RELATIVE},
        "model.encoder.layers.1.layer.position: nothing uses relative_embeddings positions: this layer never"),
    "a table that every layer overrides": (
        "encoder_only", {"position": {"type": "relative_buckets"}, "encoder.layer.position": ROTARY},
        "model.position: nothing uses relative_buckets positions"),
    "rotary positions without scores": (
        "decoder_only", {"position": ROTARY, "decoder.layer.self_attention": {"type": "none"}},
        "model.position: nothing uses rotary positions"),
    "alibi in a layer without attention": (
        "encoder_only", {"encoder.layers.1.layer.position": {"type": "alibi"},
                         "encoder.layers.1.layer.self_attention": {"type": "none"}},
        "model.encoder.layers.1.layer.position: nothing uses alibi positions"),
    "learned positions that every stack overrides": (
        "encoder_decoder", {"position": {"type": "learned", "max_len": 20}, "encoder.position": ROTARY,
                            "decoder.position": ROTARY},
        "model.position: nothing uses it: every stack has positions of its own"),
    "a norm of an attention that is left out": (
        "encoder_only", {"encoder.layer.attention_norm": {"type": "rms_norm"},
                         "encoder.layer.self_attention": {"type": "none"}},
        "model.encoder.layers.0.layer.attention_norm: nothing uses it: there is no self-attention"),
    "a layer of nothing": (
        "encoder_only", {"encoder.layer.ffn": {"type": "none"}, "encoder.layers.1.layer.self_attention":
                         {"type": "none"}},
        "model.encoder.layers.1.layer: has neither attention nor ffn"),
    "an encoder that no layer reads": (
        "encoder_decoder", {"decoder.layer.cross_attention": {"type": "none"}},
        "model.decoder: no layer reads the encoder"),
    "a gain on nothing": (
        "encoder_only", {"encoder.layer.layout": {"type": "layer_scale", "layout": "post_norm"},
                         "encoder.layer.ffn": {"type": "none"}},
        "model.encoder.layers.0.layer.layout: nothing uses its gain on a sublayer that is none"),
    "experts that give nothing": (
        "encoder_only", {"encoder.layer.ffn": {"type": "mixture_of_experts", "expert": "none"}},
        "an expert that gives nothing"),
    "a router without a choice": (
        "encoder_only", {"encoder.layer.ffn": {"type": "mixture_of_experts", "top_k": 1, "balance": 0}},
        "the router never learns"),
    "projections for global tokens that nobody names": (
        "decoder_only", {"decoder.layer.self_attention": {"type": "global_local", "n_heads": 3, "radius": 2}},
        "model.decoder.layers.0.layer.self_attention.n_global: nothing uses the projections for global tokens"),
    "positions shorter than an image": (
        "encoder_only", {"inputs": PATCHES, "position": {"type": "learned", "max_len": 4}, "head": {"type": "none"}},
        "model.position: has places for 4, and image_patches gives 5 vectors"),
    "a grid smaller than an image": (
        "encoder_only", {"inputs": PATCHES, "head": {"type": "none"},
                         "encoder.position": {"type": "sinusoidal_2d", "height": 2, "width": 2}},
        "model.encoder.position: has places for 4, and image_patches gives 5 vectors"),
    "a grid that is not the image's": (
        "encoder_only", {"inputs": PATCHES, "position": {"type": "relative_2d", "height": 1, "width": 4},
                         "head": {"type": "none"}},
        "model.position: its grid of 1 by 4, n_prefix 1, is not that of image_patches; take n_prefix: 1, height: 2, "
        "width: 2"),
    "a layer's grid smaller than an image": (
        "encoder_only", {"inputs": PATCHES, "position": "learned", "head": {"type": "none"},
                         "encoder.layer.position": {"type": "relative_2d", "height": 2, "width": 1}},
        "position: has places for 3, and image_patches gives 5 vectors"),
}  # fmt: skip


def changed(architecture, changes):
    data = base(architecture)
    for path, value in changes.items():
        put(data, path, value)
    return data


@pytest.mark.parametrize("case", REFUSED)
def test_what_nothing_uses_is_named_with_its_path(case):
    architecture, changes, message = REFUSED[case]
    assert [text for text in problems(changed(architecture, changes)) if message in text] != []


@pytest.mark.parametrize("field", ["norm", "attention_norm"])
def test_a_norm_under_a_layout_without_norms_is_named(monkeypatch, field):
    monkeypatch.setattr(PreNormSpec, "uses_norms", False)
    assert problems(base("encoder_only")) == []
    found = problems(changed("encoder_only", {f"encoder.layer.{field}": {"type": "rms_norm"}}))
    assert f"model.encoder.layers.0.layer.{field}: nothing uses it: the layout has no norms" in found


def test_who_could_use_positions_is_named():
    (text,) = problems(changed("encoder_only", {"position": RELATIVE}))
    assert "(the attentions disentangled do)" in text


ACCEPTED = [
    ("encoder_only", {"position": ROTARY, "encoder.layer.position": {"type": "rotary", "base": 50.0}}),
    ("encoder_decoder", {"position": {"type": "sinusoidal"}, "encoder.position": ROTARY, "decoder.position": ROTARY}),
    ("encoder_decoder", {"position": ROTARY, "encoder.layer.self_attention": {"type": "none"}}),
    ("encoder_decoder", {"encoder.position": RELATIVE, "encoder.layer.self_attention": DISENTANGLED}),
    ("decoder_only", {"tokens": {"type": "series_steps"}, "head": {"type": "regression", "n_outputs": 16}}),
    ("encoder_only", {"position": {"type": "none"}, "encoder.layer.self_attention": {"type": "none"}}),
    ("encoder_only", {"encoder.layer.self_attention": {"type": "global_local", "n_heads": 3, "radius": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "changes"), ACCEPTED)
def test_what_is_overridden_without_weights_or_used_somewhere_is_no_problem(architecture, changes):
    assert problems(changed(architecture, changes)) == []


def test_a_sublayer_that_gives_nothing_is_left_out_with_its_norm_where_the_sum_needs_none():
    with_nothing = changed("decoder_only", {"decoder.layer.self_attention": {"type": "none"}})
    for layout, n_norms in (("pre_norm", 1), ("sandwich", 1), ("post_norm", 2)):
        with_nothing["decoder"]["layer"]["layout"] = layout
        model = build(DecoderOnlySpec.model_validate(with_nothing)).eval()
        assert len(model.decoder.layers[0].layout.norms) == n_norms
        tokens = torch.randint(5, V, (2, 6))
        cache = model.new_cache()
        steps = [model.decode(tokens[:, i : i + 2], cache=cache) for i in (0, 2, 4)]
        torch.testing.assert_close(torch.cat(steps, 1), model.decode(tokens))
