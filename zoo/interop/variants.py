"""What a checkpoint's tensors decide that its config leaves open: parts it lacks, and fixed tables it holds rounded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.interop.config import Variant
from zoo.interop.rules import Rules, all_rules, names_of
from zoo.storage.tensors import Readable

_ANGLE_ERROR = 3e-7  # of a sinusoid's angle in float32, as references compute it, at each position further
_ROUNDED = 4e-3  # sinusoids rounded to bfloat16 are off by half of it


def variant_of(rules: Rules, given: Mapping[str, Readable], dtype: torch.dtype | None) -> Variant:
    """What the tensors given say of a model beside its config, by the rules that the config alone gives."""
    tables = {rule.theirs[0]: rule.table for rule in all_rules(rules) if rule.table is not None}
    own = {
        name
        for name, make in tables.items()
        if name in given
        and tuple(given[name].shape) == (shape := tuple((table := make()).shape))
        and len(shape) == 2
        and not is_table(given[name], table, dtype)
        and is_table(given[name], table, dtype, tolerance=_ROUNDED)
    }
    return Variant(frozenset(names_of(rules) - set(given)), frozenset(own))


def variant_between(default: Rules, rules: Rules) -> Variant:
    """The variant by which a config whose rules alone would be `default` has these rules."""
    tables = {rule.theirs[0] for rule in all_rules(default) if rule.table is not None}
    plain = {name for rule in all_rules(rules) if rule.table is None for name in rule.theirs}
    return Variant(frozenset(names_of(default) - names_of(rules)), frozenset(tables & plain))


def is_table(
    given: Readable, table: Tensor, dtype: torch.dtype | None, *, tolerance: float | None = None
) -> bool:
    """Whether a tensor, once converted to dtype, is that table as far as float32 arithmetic tells."""
    wanted = dtype or given.dtype
    theirs = torch.empty(given.shape, dtype=given.dtype)
    given.read_into(theirs)
    difference = (theirs.to(wanted).double() - table.to(wanted).double()).abs()
    if tolerance is None:
        rows = torch.arange(1.0, len(table) + 1).view(-1, *[1] * (table.dim() - 1))
        return bool(
            (difference <= rows * _ANGLE_ERROR + (wanted.itemsize < 4) * torch.finfo(wanted).eps).all()
        )
    return bool((difference <= tolerance).all())
