"""The pictures of parts, by the functions with which `zoo draw` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preset_pages import printed

import presets
from registry import Kind, Spec, SpecError, dump, parse
from zoo.analysis.architecture_drawing import architecture_drawing
from zoo.analysis.maps import masks_drawing
from zoo.analysis.masks import attention_masks, model_masks
from zoo.analysis.outline import outline
from zoo.cli.figures import write_figure
from zoo.conformance.attention import possible_partner
from zoo.kinds import MODEL

D, H, LENGTH = 48, 3, 12
"""d_model, n_heads and tokens: an even number of features a head, and cells that can be counted."""


def picture(kind: Kind, name: str, folder: Path) -> str:
    """Draws a part, as its first example, into NAME.svg of a folder; gives the Markdown that shows it, or nothing where
    there is no more to see than the name.

    Positions, attentions by their masks, layouts by a layer.
    """
    draw = {"position": _draw_position, "attention": _draw_mask, "layout": _draw_layer}.get(kind.name)
    if draw is None or not kind.examples(name):
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.svg"
    if not (shown := draw(kind.examples(name)[0], file)):
        return ""
    of = presets.to_flow({"type": name, **kind.entry(name).examples[0]})
    return f"![{shown}]({file.name})\n\nDrawn of `{of}` at d_model {D}."


def _draw_position(spec: Spec, file: Path) -> str:
    given = {key: value for key, value in dump(spec).items() if key in spec.model_fields_set}
    words = [f"{key}={presets.to_flow(value)}" for key, value in given.items()]
    printed("draw", f"position/{spec.type}", f"d_model={D}", f"n_heads={H}", *words, "-o", str(file))
    return f"What the position {spec.type} adds, turns or biases"


def _draw_mask(spec: Spec, file: Path) -> str:
    position = possible_partner(spec)
    is_alone = position is None or position.type == "none"  # the others read positions, which a model has
    model = None if is_alone else _model(position=position, self_attention=spec)
    try:
        if model is None:
            maps = attention_masks(spec, d_model=D, length=LENGTH)
        else:
            maps, _ = model_masks(model, length=LENGTH)
    except SpecError:  # it attends by no softmax
        return ""
    write_figure(file, masks_drawing(maps, f"attention/{spec.type}"))
    return f"Which keys each query sees by {spec.type}"


def _draw_layer(spec: Spec, file: Path) -> str:
    write_figure(file, architecture_drawing([outline(_model(layout=spec), f"layout/{spec.type}")]))
    return f"A layer wired by {spec.type}"


def _model(*, position: Spec | None = None, **layer: Spec) -> Any:
    """A model of one layer."""
    parts = {
        "norm": "layer_norm",
        "self_attention": {"type": "multi_head", "n_heads": H},
        "ffn": {"type": "mlp", "d_ff": 4 * D},
        **layer,
    }
    model = {
        "type": "encoder_only",
        "d_model": D,
        "inputs": {"type": "tokens", "vocab_size": 100},
        "position": position or "none",
        "encoder": {"n_layers": 1, "layer": parts},
        "head": "masked_language_model",
    }
    return parse(MODEL.entry("encoder_only").spec, model)
