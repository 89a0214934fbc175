"""What holds for a part in other types of number and on another device."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.conformance.trials import Law, Part, randomised, require, seeded

DRIFT = 0.05
"""How far a result in bfloat16 may be from the exact one, of its largest value: some ten roundings of 2^-8."""


def single_precision_is_kept_and_close(part: Part) -> None:
    """In float32 the output is float32, and that of float64 but for rounding."""
    found, wanted = _in(part, torch.float32)
    difference = (found - wanted).abs().max().item() / max(1.0, wanted.abs().max().item())
    require(difference < 1e-4, f"float32 and float64 differ by {difference:.3g}")


def half_precision_is_kept_and_drifts_little(part: Part) -> None:
    """In bfloat16 the output is bfloat16, and that of float64 to within a twentieth of its largest value."""
    found, wanted = _in(part, torch.bfloat16)
    difference = (found - wanted).abs().max().item() / max(1e-3, wanted.abs().max().item())
    require(difference < DRIFT, f"bfloat16 and float64 differ by {difference:.3g} of the largest value")


def everything_is_made_where_the_input_is(part: Part) -> None:
    """Moved to another device, here torch's without memory, it makes no tensor anywhere else."""
    seeded()
    module, given = randomised(part.make()).to("meta"), part.data().to("meta")
    out = part.run(module, given)
    require(out.is_meta, f"the output of a part on the meta device is on {out.device}")


def _in(part: Part, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What it gives in that type, and in float64 by the same numbers."""
    seeded()
    given = part.data()
    given = given.to(dtype) if given.is_floating_point() else given
    module = randomised(part.make()).to(dtype)
    found = part.run(module, given)
    exact = given.double() if given.is_floating_point() else given
    wanted = part.run(module.double(), exact)
    require(found.dtype == dtype, f"the output of {dtype} is {found.dtype}")
    return found.double(), wanted


PRECISION_LAWS = (
    Law(single_precision_is_kept_and_close),
    Law(half_precision_is_kept_and_drifts_little),
    Law(everything_is_made_where_the_input_is),
)
