"""A norm of one's own that extends another's spec and constructor: RMS norm with a learnt share of what it was given.

On the command line: `zoo train quickstart --plugin THIS_FILE model.encoder.layer.norm=partial_rms`.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

import zoo
from zoo.components.norm.rms_norm import RMSNorm, RMSNormSpec
from zoo.conformance import findings, part_of
from zoo.kinds import NORM


class PartialRMSSpec(RMSNormSpec):  # eps, gain, unit_offset and casts_before_gain are inherited
    type: Literal["partial_rms"] = "partial_rms"
    share: float = Field(0.9, ge=0, le=1)
    """Share of the normalised vector at first."""

    def n_parameters(self, *, d_model: int) -> int:
        return super().n_parameters(d_model=d_model) + 1


@NORM.register("partial_rms", spec=PartialRMSSpec, examples=[{"share": 0.5}])
class PartialRMS(RMSNorm):
    """s · norm(x) + (1 - s) · x, with s learnt."""

    def __init__(self, *, share: float, **inherited: Any) -> None:  # only what is new
        super().__init__(**inherited)
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, x):
        return torch.lerp(x, super().forward(x), self.share.to(x.dtype))


if __name__ == "__main__":
    for found in findings({"partial_rms": part_of(NORM, PartialRMSSpec(share=0.5))}):
        print(f"{found.result}: {found.law}")
    run = zoo.load("quickstart", "model.encoder.layer.norm={type: partial_rms, eps: 1e-5, share: 0.7}")
    print(run.model.encoder.layer.norm)
