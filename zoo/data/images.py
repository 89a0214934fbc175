"""Image files, as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
Mode = Literal["RGB", "L"]


def read_image(path: Path, size: tuple[int, int], mode: Mode) -> NDArray[np.uint8]:
    """A file's pixels, uint8 [H, W, 3] for RGB or [H, W] for L (grey), of that height and width.

    An image is turned as its file says, scaled until it fills them, and cut at the longer side's ends.
    Raises: ValueError, saying why, for a file that is no image; DataError where Pillow is not installed.
    """
    image, operations = _pillow()
    height, width = size
    try:
        with image.open(path) as opened:
            turned = operations.exif_transpose(opened).convert(mode)
            fitted = operations.fit(turned, (width, height), method=image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise ValueError(getattr(error, "strerror", None) or " ".join(str(error).split())) from None
    return np.asarray(fitted, np.uint8)


def _pillow() -> tuple[Any, Any]:
    """Its modules Image and ImageOps."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        message = "image files need a package that is not installed: pip install 'architecture-zoo[images]'"
        raise DataError(message) from None
    return Image, ImageOps
