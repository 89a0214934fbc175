"""The size of the norms that a layout has, one a sublayer."""

from __future__ import annotations

from collections.abc import Sequence

from registry import Spec
from zoo.kinds import NORM
from zoo.sizes import Batch, n_kept, n_parameters


def n_of_norms(norms: Sequence[Spec], d_model: int) -> int:
    """The parameters of the norms."""
    return sum(n_parameters(NORM, norm, d_model=d_model) for norm in norms)


def n_kept_of_norms(norms: Sequence[Spec], d_model: int, batch: Batch) -> int:
    """What is kept of the norms, and a byte for each value that a sublayer gives, whether dropout keeps it."""
    dropped = len(norms) * batch.n_tokens * d_model // 4
    return dropped + sum(n_kept(NORM, norm, d_model=d_model, batch=batch) for norm in norms)
