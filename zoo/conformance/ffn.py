"""What every feed-forward network must do."""

from __future__ import annotations

from registry import Spec
from zoo.conformance.modules import MODULE_LAWS, each_position_by_itself
from zoo.conformance.trials import D, Law, Part
from zoo.kinds import FFN

LAWS = (*MODULE_LAWS, Law(each_position_by_itself))


def ffn_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(FFN, spec, lambda: FFN.build(spec, d_model=D))
