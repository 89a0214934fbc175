"""What every norm must do."""

from __future__ import annotations

from registry import Spec
from zoo.conformance.described import COST, DESCRIBED_LAWS
from zoo.conformance.modules import MODULE_LAWS, ONE_PLACE, ROWS, each_position_by_itself
from zoo.conformance.trials import D, Law, Part
from zoo.kinds import NORM

LAWS = (*MODULE_LAWS, ROWS, ONE_PLACE, Law(each_position_by_itself), *DESCRIBED_LAWS, COST)


def norm_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(NORM, spec, lambda: NORM.build(spec, d_model=D))
