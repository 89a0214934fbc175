"""Attention maps as files: a page, a sheet of heat maps, arrays."""

from __future__ import annotations

from pathlib import Path

from registry import Problem, SpecError
from zoo.analysis.attention_figures import sheet
from zoo.analysis.attention_maps import AttentionMaps
from zoo.analysis.attention_page import page
from zoo.drawing.forms import FORMS, drawn
from zoo.storage.files import write_bytes

MAX_WEIGHTS = 500_000
"""The most weights that are drawn in one file, which a browser can still show."""


def write_maps(found: AttentionMaps, out: Path, theme: str = "auto") -> None:
    """Writes what the file's ending says: .npz arrays, .svg and .png a sheet of heat maps, any other a page.

    theme, one of THEMES, is the sheet's: a page has both, and arrays none.

    Raises: SpecError for more weights than can be drawn; RunError where the file cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix == ".npz":
        write_bytes(out, found.npz())
        return
    n_weights = sum(each.weights.size for each in found.maps)
    if n_weights > MAX_WEIGHTS:
        message = (
            f"{n_weights:,} weights are too many for a picture ({MAX_WEIGHTS:,}): choose some by --layers and --heads, "
            "take a shorter input, or write all as arrays, .npz"
        )
        raise SpecError([Problem(str(out), message)])
    write_bytes(out, drawn(sheet(found), suffix, theme) if suffix in FORMS else page(found).encode())
