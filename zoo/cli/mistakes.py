"""Mistakes in a spec as plain data, for editors and other programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry import Problem

_PLACE = re.compile(r"(?P<file>[^\n]*?\.ya?ml)(?::(?P<line>\d+))?: ", re.DOTALL)
_OVERRIDE = re.compile(r"override '(?P<override>.*?)'(?:, override|$|: )", re.DOTALL)


def mistakes(error: Exception, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each mistake of a SpecError or PresetError, with its place and with the value that stands there in data.

    file, line and column, from 1, are null for what no file says; override is the word of the command line that did.
    """
    from registry import Problem, SpecError

    found = error.problems if isinstance(error, SpecError) else [Problem("", str(error))]
    lines: Sequence[Problem] = [
        part
        for each in found
        for part in ([Problem("", line) for line in each.message.splitlines()] if not each.path else [each])
    ]
    return [_mistake(each, data) for each in lines]


def _mistake(problem: Problem, data: Mapping[str, Any]) -> dict[str, Any]:
    where, message, suggestion = problem.where, problem.message, problem.suggestion
    if not where and not problem.path and (place := _PLACE.match(message) or _OVERRIDE.match(message)):
        where, message = place[0].removesuffix(": "), message[place.end() :]
    if not suggestion:
        message, _, suggestion = message.partition("; ")
    from registry import value_at

    override = _OVERRIDE.match(where)
    file, _, line = ("", "", "") if override else where.rpartition(":")
    is_line = line.isdecimal()
    return {
        "file": (file if is_line else where or None) if not override else None,
        "line": int(line) if is_line else None,
        "column": getattr(problem.where, "column", None),
        "override": override["override"] if override else None,
        "path": problem.path or None,
        "value": value_at(data, problem.path) if problem.path else None,
        "rule": message.partition(", got ")[0],
        "suggestion": suggestion or None,
        "message": str(problem),
    }
