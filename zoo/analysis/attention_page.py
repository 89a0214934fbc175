"""Attention maps as one page that needs nothing else: lines between words and heat maps, by layer and head."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from zoo.analysis.attention_figures import heat_map, line_drawing, scale_drawing
from zoo.analysis.attention_maps import AttentionMap, AttentionMaps
from zoo.drawing.pages import HOW_TO_SWITCH, choice, choosable, whole_page
from zoo.drawing.shapes import Cells, Drawing
from zoo.drawing.svg import escape, svg
from zoo.drawing.themes import colour_class

_CSS, _JS = "attention_page.css", "attention_page.js"


def page(found: AttentionMaps) -> str:
    """The whole page: a section for each kind of attention, in it a choice of layers and heads."""
    own = resources.files("zoo.analysis")
    style, script = ((own / name).read_text(encoding="utf-8") for name in (_CSS, _JS))
    kinds: dict[str, list[AttentionMap]] = {}
    for each in found.by_kind:
        kinds.setdefault(each.kind, []).append(each)
    sections = [(_id(kind), _heading(kind), _section(maps)) for kind, maps in kinds.items()]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{heading}</h2>{content}</section>' for name, heading, content in sections
    )
    return whole_page(
        f"Attention of {found.model}",
        head=f"{_lead(found)}<nav>{links}</nav>",
        body=body,
        style=style,
        script=script,
    )


def _id(kind: str) -> str:
    return "".join(each if each.isalnum() and each.isascii() else "-" for each in kind)


def _heading(kind: str) -> str:
    return escape(kind[:1].upper() + kind[1:])


def _lead(found: AttentionMaps) -> str:
    """What was read and written, and whether the weights are the model's."""
    lines = [f'<p class="sentence"><bdi>{escape(found.given)}</bdi></p>']
    if found.written is not None:
        how = " (given)" if found.target is not None else ""
        lines.append(f'<p class="sentence">→ <bdi>{escape(found.written.strip())}</bdi>{how}</p>')
    if found.altered:
        lines.append(f"<p>{escape(found.altered)}</p>")
    if found.unconfirmed:
        lines.append(f'<p class="wrong">{escape(found.checked)}</p>')
    else:
        lines.append(f"<p>Weights by the formula; {escape(found.checked)}.</p>")
    if found.without:
        parts = sorted({part for _, part in found.without})
        names = ", ".join(name for name, _ in found.without)
        lines.append(
            f"<p>Left out, for they attend by no softmax: {escape(', '.join(parts))} ({escape(names)}).</p>"
        )
    return "".join(lines)


def _section(maps: Sequence[AttentionMap]) -> str:
    figures = {_name(each): _layer(each) for each in maps}
    layers = [(_name(each), "all" if each.layer is None else f"layer {each.layer}") for each in maps]
    heads = sorted({head for each in maps for head in each.heads})
    caption = (
        "Keys stand above, queries below; a line is as broad as its weight, and has its head's colour. In a heat map a "
        "row is a query, whose weights sum to 1. Point at a word or a cell."
    )
    if maps[0].is_cross and maps[0].writes is not None:
        caption += " A query is named by the word that is written next, for which it looks at the source."
    scale = f'<div class="scale">{svg(scale_drawing(), is_to_scale=True)}</div>'
    return choosable(figures, choice("layer", layers), caption, _legend(heads) + scale)


def _name(shown: AttentionMap) -> str:
    return escape(shown.name)


def _legend(heads: Sequence[int]) -> str:
    """A switch for each head; none where there is one."""
    if len(heads) == 1:
        return ""
    switches = "".join(
        f'<button type="button" data-v="{head}" aria-pressed="true" title="{HOW_TO_SWITCH}">'
        f'<span class="key {colour_class(head)}"></span>head {head}</button>'
        for head in heads
    )
    return f'<div class="legend">{switches}</div>'


def _layer(shown: AttentionMap) -> str:
    """The lines of a layer and the heat maps of its heads."""
    about = {"queries": shown.rows, "keys": shown.keys, "heads": shown.heads}
    rounded = np.round(shown.weights * 255).astype(np.uint8)
    weights = base64.b64encode(rounded.tobytes()).decode()
    heats = []
    if len(shown.heads) > 1:
        heats.append(_heat(shown, shown.weights.mean(axis=0), "mean", title="mean of heads", variant=None))
    for place, head in enumerate(shown.heads):
        heats.append(_heat(shown, shown.weights[place], str(place), title=f"head {head}", variant=head))
    lines = svg(line_drawing(shown), is_to_scale=True)
    return (
        f'<div class="layer" data-about="{escape(json.dumps(about, ensure_ascii=False))}" data-weights="{weights}">'
        f'<figcaption>{escape(shown.name)}, {escape(shown.part)}</figcaption><div class="scroll lines">{lines}</div>'
        f'<div class="heats">{"".join(heats)}</div></div>'
    )


def _heat(
    shown: AttentionMap, weights: NDArray[np.float32], place: str, *, title: str, variant: int | None
) -> str:
    drawing: Drawing = heat_map(shown, weights, title=title, variant=variant)
    cells = next(each for each in drawing.shapes if isinstance(each, Cells))
    where = f"{cells.at[0]} {cells.at[1]} {cells.size}"
    return (
        f'<div class="heat" data-place="{place}" data-cells="{where}">{svg(drawing, is_to_scale=True)}</div>'
    )
