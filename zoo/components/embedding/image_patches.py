"""Images as sequences of patches."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import EMBEDDING
from zoo.sizes import Batch, linear_size

Side = Annotated[int, Field(ge=1, le=65536)]


class ImagePatchesSpec(Spec):
    type: Literal["image_patches"] = "image_patches"
    image_size: Side | tuple[Side, Side] = 224
    """Height and width of an image, in pixels; one number where they are equal."""
    patch_size: int = Field(16, ge=1, le=65536)
    """Side of a square patch, in pixels; must divide height and width."""
    n_channels: int = Field(3, ge=1, le=65536)
    """Numbers a pixel: 3 for colour, 1 for grey."""
    bias: bool = True
    """Whether the projection of a patch adds a bias."""
    class_token: bool = True
    """Whether a learned vector stands before the patches, for a head to read."""
    n_registers: int = Field(0, ge=0, le=65536)
    """Learned vectors between class token and patches, which no head reads."""

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of an image."""
        return _sides(self.image_size)

    @property
    def length(self) -> int:
        """S: patches, class token and registers of an image."""
        n_first, height, width = self.grid
        return n_first + height * width

    @property
    def grid(self) -> tuple[int, int, int]:
        """Class token and registers, and the rows and columns of patches after them."""
        height, width = (side // self.patch_size for side in self.sides)
        return self.class_token + self.n_registers, height, width

    def check(self, *, d_model: int) -> None:
        for name, side in zip(("height", "width"), self.sides, strict=True):
            if side % self.patch_size:
                raise ValueError(f"patch_size ({self.patch_size}) must divide the image's {name} ({side})")

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask: images have none."""
        return torch.randn(batch, self.n_channels, *self.sides), None

    def n_parameters(self, *, d_model: int) -> int:
        first = (self.class_token + self.n_registers) * d_model
        return first + linear_size(self.n_channels * self.patch_size**2, d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * self.n_channels * self.patch_size**2

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        n_patches = batch.n_rows * (self.length - self.class_token - self.n_registers)
        forward = product(n_patches, self.n_channels * self.patch_size**2, d_model)
        return trained(forward, "2·patches·n_channels·patch_size²·D", n_raw=forward)


@EMBEDDING.register(
    "image_patches",
    spec=ImagePatchesSpec,
    examples=[
        {"image_size": [6, 9], "patch_size": 3, "n_channels": 2},
        {"image_size": 8, "patch_size": 4, "class_token": False, "bias": False},
        {"image_size": 4, "patch_size": 2, "n_channels": 1, "n_registers": 3},
    ],
)
class ImagePatches(nn.Module):
    """Class token, registers, and a linear map of every patch, row by row.

    Source: Dosovitskiy et al. 2021, equation 1; registers: Darcet et al. 2024.
        The projection is a convolution whose kernel and stride are the patch: its weight [D, C, P, P], flattened to
        [D, C·P·P].
    Differs: positions are the stack's, so registers have some as well; Darcet et al. add them to patches only.
    Shapes: inputs [B, C, height, width] -> [B, S, D], S the spec's `length`; no mask, for an image has no padding.
    Raises: ValueError for images of another shape or of integers, and for a mask or types.
    """

    def __init__(
        self,
        *,
        d_model: int,
        image_size: int | tuple[int, int],
        patch_size: int,
        n_channels: int,
        bias: bool,
        class_token: bool,
        n_registers: int,
    ) -> None:
        super().__init__()
        self.image_shape = (n_channels, *_sides(image_size))
        self.patch_size = patch_size
        self.projection = Linear(n_channels * patch_size**2, d_model, bias=bias)
        self.class_token = nn.Parameter(torch.empty(1, d_model)) if class_token else None
        self.registers = nn.Parameter(torch.empty(n_registers, d_model)) if n_registers else None
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        for tokens in (self.class_token, self.registers):
            if tokens is not None:
                nn.init.normal_(tokens, std=0.02)

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if inputs.shape[1:] != self.image_shape or not inputs.is_floating_point():
            shape = ", ".join(str(size) for size in self.image_shape)
            raise ValueError(
                f"images must be floats [B, {shape}] (channels, height, width), not {inputs.dtype} "
                f"{list(inputs.shape)}"
            )
        if mask is not None or types is not None:
            raise ValueError("an image has no padding and no token types: give neither mask nor types")
        x = self.projection(self._patches(inputs))  # [B, h·w, D]
        first = [tokens for tokens in (self.class_token, self.registers) if tokens is not None]
        if first:
            x = torch.cat([*(tokens.expand(x.shape[0], -1, -1) for tokens in first), x], dim=1)
        return x, None

    def place_names(self) -> list[str]:
        """What each place stands for: a patch its row and column, from 1."""
        first = [] if self.class_token is None else ["class"]
        if self.registers is not None:
            first += [f"register {i + 1}" for i in range(len(self.registers))]
        _, height, width = self.image_shape
        rows, columns = height // self.patch_size, width // self.patch_size
        return first + [f"{i + 1},{j + 1}" for i in range(rows) for j in range(columns)]

    def _patches(self, images: Tensor) -> Tensor:
        B, C, height, width = images.shape
        P = self.patch_size
        x = images.reshape(B, C, height // P, P, width // P, P)
        return x.permute(0, 2, 4, 1, 3, 5).reshape(B, -1, C * P * P)  # [B, h·w, C·P·P]


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    return (image_size, image_size) if isinstance(image_size, int) else image_size
