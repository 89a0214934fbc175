"""Image files, brought to one size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.errors import DataError

Side = Annotated[int, Field(ge=1, le=65536)]
Colours = Literal["colour", "grey"]
MODES: dict[Colours, str] = {"colour": "RGB", "grey": "L"}


def size_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, where one number may say both."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def fitted(file: Path | BinaryIO, size: tuple[int, int], colours: Colours) -> NDArray[np.uint8] | str:
    """An image file's pixels, uint8 [H, W, 3], or [H, W] where they are grey; or why there are none.

    Scaled until they fill the height and the width, and cut at the longer side's ends.
    Raises: DataError where Pillow is not installed.
    """
    image, operations = _pillow()
    height, width = size
    try:
        with image.open(file) as opened:
            turned = operations.exif_transpose(opened).convert(MODES[colours])
            found = operations.fit(turned, (width, height), method=image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        return " ".join(str(error).split())
    return np.asarray(found, np.uint8)


def _pillow() -> tuple[Any, Any]:
    """Its modules Image and ImageOps."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        message = (
            "reading images needs a package that is not installed: pip install 'architecture-zoo[images]'"
        )
        raise DataError(message) from None
    return Image, ImageOps
