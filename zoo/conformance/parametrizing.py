"""Laws as tests of pytest, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from registry import Spec
from zoo.conformance.choosing import kind_of, parts_named
from zoo.conformance.laws import laws, part_of
from zoo.conformance.running import check_expected, reason_for
from zoo.conformance.trials import Part

Test = TypeVar("Test", bound=Callable[..., Any])


def parametrize_with_laws(
    parts: Sequence[str | Spec | Part],
    *,
    expected_failures: Mapping[str, str] | None = None,
    slow: bool = False,
) -> Callable[[Test], Test]:
    """Makes of `def test_laws(law): law()` a test for each law of each part, `KIND/NAME-i-LAW`.

    parts: components as KIND/NAME, tried by their registered examples and their defaults; specs of components; plain
        modules as `plain_part` describes them.
    expected_failures: reasons by a law's name, or by `PART: LAW` for one of the parts, where the laws are known to be
        broken; such a test must fail (xfail, strict). Those of a spec's own `expected_failures` come on top.
    slow: with the laws that take seconds each.
    Raises: ValueError for an expected failure of what is not tried; SpecError for an unknown component.
    """
    import pytest

    named: dict[str, Part] = {}
    for i, given in enumerate(parts):
        if isinstance(given, str):
            named |= parts_named(given)[0]
        elif isinstance(given, Part):
            named[f"{given.kind.name}/{given.name or i}"] = given
        else:
            kind = kind_of(given)
            named[f"{kind.name}/{given.type}-{i}"] = part_of(kind, given)
    expected = expected_failures or {}
    check_expected(named, expected)
    cases = []
    for name, part in named.items():
        for law in laws(part):
            if law.is_slow and not slow:
                continue
            reason = reason_for(name, part, law, expected)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            cases.append(pytest.param(partial(law.check, part), id=f"{name}-{law.name}", marks=marks))
    return pytest.mark.parametrize("law", cases)
