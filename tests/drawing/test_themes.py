"""Drawings by day and by night: every colour that is drawn, on what it is drawn on."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import pytest

from zoo.drawing.forms import drawn
from zoo.drawing.shapes import Arrow, Box, Cells, Drawing, Link, Mark, Path, Words
from zoo.drawing.svg import svg
from zoo.drawing.themes import DARK, LIGHT, THEMES, TINT, Theme, theme_of

LEGIBLE = 4.5
"""WCAG 2.2, 1.4.3."""


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def luminance(parts: tuple[float, ...]) -> float:
    r, g, b = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def tinted(theme: Theme, variant: str) -> tuple[float, ...]:
    return tuple(TINT * c + (1 - TINT) * g for c, g in zip(rgb(variant), rgb(theme.ground), strict=True))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_colour_is_legible_on_its_ground_and_letters_on_every_tint_too(theme: Theme) -> None:
    for each in (theme.ink, theme.muted, *theme.variants):
        assert contrast(rgb(each), rgb(theme.ground)) >= LEGIBLE, each
    for variant in theme.variants:
        for each in (theme.ink, theme.muted):
            assert contrast(rgb(each), tinted(theme, variant)) >= LEGIBLE, (each, variant)


def everything() -> Drawing:
    """A shape of each kind and style, with and without a variant."""
    line = ((1.0, 1.0), (9.0, 8.0))
    shapes = [
        *(Path(line, style) for style in ("axis", "grid", "zero", "front", "thin")),
        *(Path(line, style, 2) for style in ("line", "bar", "thin", "band")),
        *(Mark((5.0, 5.0), variant, style) for variant in (0, 1) for style in ("mark", "hollow")),
        *(Words((5.0, 5.0), "a", style) for style in ("tick", "label", "name")),
        Words((5.0, 5.0), "a", "name", variant=3),
        Cells((0.0, 0.0), 4.0, ((1.0, -0.5), (0.0, 0.3)), 1, below=2),
        Cells((0.0, 0.0), 4.0, ((1.0, 0.5),)),
        Link(line, 0.5, 4),
        *(Box((0.0, 0.0), 8.0, 8.0, v, m) for v in (None, 5) for m in (False, True)),
        Arrow(line),
    ]
    return Drawing(10.0, 10.0, "Everything", shapes=shapes)


def test_a_file_that_follows_its_reader_names_each_colour_by_a_rule_for_the_night() -> None:
    file = svg(everything(), is_file=True, theme="auto")
    (style,) = re.findall(r"<style>(.*?)</style>", file)
    assert style.startswith("@media screen and (prefers-color-scheme:dark){")
    named = set(re.findall(r"svg(?: \.v)? (?:text)?\.([a-z]+)(?:\.\w+)?[,{]", style)) | {"label", "name"}
    day = {LIGHT.ground, LIGHT.ink, LIGHT.muted, LIGHT.grid, *LIGHT.variants}
    for each in ET.fromstring(file).iter():
        classes = set(each.get("class", "").split())
        if {each.get("fill"), each.get("stroke")} & day:
            assert classes & named, ET.tostring(each)


@pytest.mark.parametrize(("theme", "other"), [("light", DARK), ("dark", LIGHT)])
def test_a_file_of_one_theme_has_no_colour_of_the_other_and_no_style_sheet(theme: str, other: Theme) -> None:
    file = svg(everything(), is_file=True, theme=theme)
    assert "<style>" not in file
    assert f'fill="{theme_of(theme).ground}"' in file
    for each in {other.ground, other.muted, other.grid, *other.variants} - {theme_of(theme).ink}:
        assert each not in file


@pytest.mark.parametrize("theme", THEMES)
def test_pixels_stand_on_the_ground_of_their_theme(theme: str) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    with image.open(io.BytesIO(drawn(Drawing(9.0, 7.0, "Empty"), ".png", theme))) as found:
        corner = found.convert("RGB").getpixel((2, 2))
    assert corner == tuple(round(255 * each) for each in rgb(theme_of(theme).ground))


def test_numbers_under_0_have_a_colour_of_their_own() -> None:
    cells = Cells((0.0, 0.0), 4.0, ((1.0, -1.0),), 1, below=2)
    found = ET.fromstring(svg(Drawing(9.0, 7.0, "Both", shapes=[cells]), is_file=True))
    fills = {
        each.get("fill"): [p.get("d") for p in each]
        for each in found.iter()
        if "cells" in each.get("class", "")
    }
    assert fills == {LIGHT.colour(1): ["M0 0h4v4h-4z"], LIGHT.colour(2): ["M4 0h4v4h-4z"]}
