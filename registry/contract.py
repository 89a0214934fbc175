"""A kind's contract in words, from the Protocol that says it in types: so it is said once."""

from __future__ import annotations

import inspect
from typing import Any


def contract_words(protocol: type) -> str:
    """Each call of a Protocol with its parameters and what its docstring says, then the Protocol's own docstring."""
    calls = [
        f"{name}({_parameters(member)}): {_on_one_line(member)}"
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and member.__doc__
    ]
    return "; ".join([*calls, _on_one_line(protocol)])


def _on_one_line(documented: Any) -> str:
    return " ".join((documented.__doc__ or "").split()).removesuffix(".")


def _parameters(function: Any) -> str:
    """The parameters without self and without their types, as they are written: "x, *, mask, types"."""
    bare = [
        each.replace(annotation=each.empty)
        for each in inspect.signature(function).parameters.values()
        if each.name != "self"
    ]
    return str(inspect.Signature(bare)).strip("()")
