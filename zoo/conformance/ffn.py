"""What every feed-forward network must do."""

from __future__ import annotations

from registry import Spec
from zoo.conformance.described import COST, DESCRIBED_LAWS, DRAWN
from zoo.conformance.modules import MODULE_LAWS, ONE_PLACE, ROWS, each_position_by_itself
from zoo.conformance.trials import D, Law, Part
from zoo.kinds import FFN

LAWS = (*MODULE_LAWS, ROWS, ONE_PLACE, Law(each_position_by_itself), *DESCRIBED_LAWS, COST, DRAWN)


def ffn_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(FFN, spec, lambda: FFN.build(spec, d_model=D))
