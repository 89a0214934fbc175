"""Drawings as the content of a file, in the form that its name says."""

from __future__ import annotations

from zoo.drawing.pixels import png
from zoo.drawing.shapes import Drawing
from zoo.drawing.svg import svg
from zoo.drawing.themes import theme_of

FORMS = (".svg", ".png")
"""How the name of a drawing's file ends; .png by matplotlib."""


def drawn(drawing: Drawing, suffix: str, theme: str = "auto") -> bytes:
    """The content of a file whose name ends in suffix, one of FORMS, in one of THEMES."""
    if suffix.lower() == ".png":
        return png(drawing, theme_of(theme))
    return svg(drawing, is_file=True, theme=theme).encode()
