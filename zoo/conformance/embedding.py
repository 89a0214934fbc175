"""What every embedding must do."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.conformance.described import DESCRIBED_LAWS, DRAWN
from zoo.conformance.modules import MODULE_LAWS, ROWS
from zoo.conformance.trials import B, D, Law, Part, randomised, require, seeded
from zoo.kinds import EMBEDDING


def embedding_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(
        EMBEDDING,
        spec,
        lambda: EMBEDDING.build(spec, d_model=D),
        run=_embed,
        data=lambda: _raw(spec),
        shape=lambda given: [len(given), D],
    )


def _embed(module: nn.Module, given: Tensor) -> Tensor:
    return module(given, mask=None, types=None)[0].transpose(1, 2)  # [B, D, S]


def _raw(spec: Spec) -> Tensor:
    inputs, _ = cast(Any, spec).example_inputs(B)
    return inputs.double() if inputs.is_floating_point() else inputs


def the_mask_fits_the_vectors(part: Part) -> None:
    """With a mask, the mask returned has a place for each vector, and real vectors are finite."""
    seeded()
    inputs, mask = part.spec.example_inputs(B)
    module = randomised(part.make())
    vectors, real = module(inputs.double() if inputs.is_floating_point() else inputs, mask=mask, types=None)
    require((real is None) == (mask is None), "a mask is given or returned, but not both")
    if real is not None:
        require(real.shape == vectors.shape[:2], f"mask {list(real.shape)} of vectors {list(vectors.shape)}")
        require(real.dtype == torch.bool, f"the mask is {real.dtype}, not bool")
        require(bool(vectors[real].isfinite().all()), "a real vector is not finite")


LAWS = (*MODULE_LAWS, ROWS, Law(the_mask_fits_the_vectors), *DESCRIBED_LAWS, DRAWN)
