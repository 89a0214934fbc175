"""Image files, as numbers of one size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.errors import DataError, one_line

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
Side = Annotated[int, Field(ge=1, le=65536)]
Colours = Literal["colour", "grey"]
Fit = Literal["cut", "stretch"]
Resample = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
MODES: dict[Colours, str] = {"colour": "RGB", "grey": "L"}
WIDE = frozenset({"I", "F"})
"""Pillow's modes of whole numbers and floats of 32 bits, whose range a file does not say."""


def size_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, where one number may say both."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def fitted(
    file: Path | BinaryIO,
    size: tuple[int, int],
    colours: Colours,
    *,
    fit: Fit = "cut",
    resample: Resample = "bicubic",
) -> NDArray[np.uint8] | str:
    """An image file's pixels, uint8 [H, W, 3], or [H, W] where they are grey; or why there are none.

    It is turned as the file says; of 16 bits the upper 8 are kept. cut: scaled until it fills height and width, and cut
    at the longer side's ends; stretch: each side scaled by itself. resample is how Pillow calls the making of new
    pixels from old ones.
    Raises: DataError where Pillow is not installed.
    """
    image, operations = _pillow()
    height, width = size
    method = image.Resampling[resample.upper()]
    try:
        with image.open(file) as opened:
            if opened.mode in WIDE:
                return f"grey numbers of 32 bits (Pillow's mode {opened.mode}); 8 and 16 bits are read"
            turned = _of_8_bits(operations.exif_transpose(opened), image).convert(MODES[colours])
            if fit == "stretch":
                found = turned.resize((width, height), resample=method)
            else:
                found = operations.fit(turned, (width, height), method=method)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        return getattr(error, "strerror", None) or one_line(error)
    return np.asarray(found, np.uint8)


def _of_8_bits(opened: Any, image: Any) -> Any:
    """Grey images of 16 bits by their upper 8, where Pillow would make all above 255 white."""
    if not opened.mode.startswith("I;16"):
        return opened
    return image.fromarray((np.asarray(opened).astype(np.uint16) >> 8).astype(np.uint8))


def _pillow() -> tuple[Any, Any]:
    """Its modules Image and ImageOps."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        message = "image files need a package that is not installed: pip install 'architecture-zoo[images]'"
        raise DataError(message) from None
    return Image, ImageOps
