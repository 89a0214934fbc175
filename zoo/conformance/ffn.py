"""What every feed-forward network must do."""

from __future__ import annotations

from torch import nn

from registry import Spec
from zoo.conformance.modules import any_vectors, call, module_laws, positionwise
from zoo.conformance.trials import D, Law
from zoo.kinds import FFN


def ffn_laws(spec: Spec) -> list[Law]:
    """Those that apply: all."""
    return [*module_laws(_ffn, call, any_vectors), positionwise(_ffn)]


def _ffn(spec: Spec) -> nn.Module:
    return FFN.build(spec, d_model=D)
