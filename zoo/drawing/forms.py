"""Drawings as the content of a file, in the form that its name says."""

from __future__ import annotations

from zoo.drawing.pixels import png
from zoo.drawing.shapes import Drawing
from zoo.drawing.svg import svg

FORMS = (".svg", ".png")
"""How the name of a drawing's file ends; .png by matplotlib."""


def drawn(drawing: Drawing, suffix: str) -> bytes:
    """The content of a file whose name ends in suffix, one of FORMS."""
    return png(drawing) if suffix.lower() == ".png" else svg(drawing, is_file=True).encode()
