"""What a part must do inside of a model, whatever its kind."""

from __future__ import annotations

from typing import Any, cast

import torch

from registry import Kind, Spec, check
from zoo.assembly.build import build
from zoo.conformance.attention import partner
from zoo.conformance.trials import B, D, Law, Part, S, V, randomised, require, same, seeded
from zoo.kinds import ATTENTION, MIXER, MODEL, POSITION


def lacks_inside(part: Part) -> dict[str, str]:
    """Why a part may not stand in the layers of an encoder, or of a decoder, where it may not."""
    if part.spec is None:
        reason = "it has no spec, so that no model can be made of it"
        return {"encoder": reason, "decoder": reason}
    found = {}
    if part.kind is MIXER and "self" in part.lacks:
        found["encoder"] = part.lacks["self"]
    if problems := check(_decoder_spec(part.kind, part.spec), "model"):
        found["decoder"] = f"it may not stand in a decoder: {problems[0].message}"
    return found


_SLOTS = {
    "attention": "self_attention",
    "mixer": "mixer",
    "ffn": "ffn",
    "norm": "norm",
    "layout": "layout",
    "position": "position",
}


def _with(kind: Kind, spec: Spec) -> dict[str, Any]:
    layer: dict[str, Any] = {
        "self_attention": {"type": "multi_head", "n_heads": 3},
        "ffn": {"type": "mlp", "d_ff": 11},
    }
    position: Spec | str = partner(spec) if kind is ATTENTION and _needs_position(spec) else "learned"
    if kind is POSITION:
        return {"n_layers": 2, "layer": layer, "position": spec}
    if kind is MIXER:
        del layer["self_attention"]
    return {"n_layers": 2, "layer": layer | {_SLOTS[kind.name]: spec}, "position": position}


def _needs_position(attention: Spec) -> bool:
    return partner(attention).type != "none"


def _decoder_spec(kind: Kind, spec: Spec) -> Spec:
    head = {"type": "language_model", "predicts": "tokens"}
    tokens = {"type": "tokens", "vocab_size": V}
    data = {"d_model": D, "tokens": tokens, "decoder": _with(kind, spec), "head": head}
    return MODEL.entry("decoder_only").spec.model_validate(data)


def _decoder_only(part: Part) -> Any:
    seeded()
    return randomised(build(_decoder_spec(part.kind, part.spec)))


def in_a_decoder_the_future_is_hidden(part: Part) -> None:
    """In a causal model with the part in its layers, logits before a changed token stay."""
    model = _decoder_only(part)
    tokens = torch.randint(4, V, (B, 9))
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % V
    same(model(tokens)[:, :5], model(changed)[:, :5], "logits before a changed token")
    require(not torch.equal(model(tokens)[:, 5:], model(changed)[:, 5:]), "no token changes any logit")


def in_a_decoder_cached_equals_full(part: Part) -> None:
    """In a causal model with the part in its layers, a cache changes nothing."""
    model = _decoder_only(part)
    tokens = torch.randint(4, V, (B, 9))
    with torch.no_grad():
        full, cache, steps, start = model.decode(tokens), model.new_cache(), [], 0
        for size in (4, 1, 2, 2):
            steps.append(model.decode(tokens[:, start : start + size], cache=cache))
            start += size
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def in_an_encoder_padding_is_ignored(part: Part) -> None:
    """In an encoder with the part in its layers, a padded sentence gives what it gives alone."""
    seeded()
    inputs = {"type": "tokens", "vocab_size": V}
    data = {"d_model": D, "inputs": inputs, "encoder": _with(part.kind, part.spec), "head": "none"}
    model = cast(Any, randomised(build(MODEL.entry("encoder_only").spec.model_validate(data))))
    source = torch.randint(4, V, (B, S))
    real = torch.ones(B, S, dtype=torch.bool)
    real[1, 4:] = False
    hidden = model(source, mask=real)
    same(hidden[1:, :4], model(source[1:, :4]), "a sentence in a padded batch and alone")
    other = torch.where(real, source, (source + 7) % V)
    same(model(other, mask=real)[real], hidden[real], "outputs after the padding's ids changed")


INSIDE_LAWS = (
    Law(in_an_encoder_padding_is_ignored, ("encoder",)),
    Law(in_a_decoder_the_future_is_hidden, ("decoder",)),
    Law(in_a_decoder_cached_equals_full, ("decoder",)),
)
