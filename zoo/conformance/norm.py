"""What every norm must do."""

from __future__ import annotations

from torch import nn

from registry import Spec
from zoo.conformance.modules import any_vectors, call, module_laws, positionwise
from zoo.conformance.trials import D, Law
from zoo.kinds import NORM


def norm_laws(spec: Spec) -> list[Law]:
    """Those that apply: all."""
    return [*module_laws(_norm, call, any_vectors), positionwise(_norm)]


def _norm(spec: Spec) -> nn.Module:
    return NORM.build(spec, d_model=D)
