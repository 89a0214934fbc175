"""What every norm must do."""

from __future__ import annotations

from registry import Spec
from zoo.conformance.modules import MODULE_LAWS, each_position_by_itself
from zoo.conformance.trials import D, Law, Part
from zoo.kinds import NORM

LAWS = (*MODULE_LAWS, Law(each_position_by_itself))


def norm_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(NORM, spec, lambda: NORM.build(spec, d_model=D))
