"""The maximum length's small language."""

import pytest
from pydantic import TypeAdapter, ValidationError

from zoo.generation.max_length import LengthLimit, MaxLength


@pytest.mark.parametrize(
    ("rule", "source", "limit"),
    [
        ("source + 50", 7, 57),
        ("source * 2 + 10", 7, 24),
        ("2 * source", 7, 14),
        ("source", 7, 7),
        ("1.5 * source + 1", 7, 11),
        ("  source*3+2 ", 5, 17),
        (20, 7, 20),
        ("0.1 * source", 3, 1),  # never less than one token
        ("source", 0, 1),
    ],
)
def test_a_rule_gives_its_number_of_tokens(rule, source, limit):
    assert LengthLimit(rule)(source) == limit


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "50",
        "target + 5",
        "source - 5",
        "source +",
        "+ 5",
        "source + 5.5",
        "2 * source * 2",
        "source ** 2",
        "source + 50 + 1",
        "0 * source",
        "source * 0 + 5",
        "-1 * source",
        "__import__('os')",
        "source + 99999999",
    ],
)
def test_anything_else_is_refused_with_an_example(rule):
    with pytest.raises(ValidationError, match=r"such as 'source \+ 50'|factor must be above 0"):
        TypeAdapter(MaxLength).validate_python(rule, strict=True)


@pytest.mark.parametrize("rule", [0, -3])
def test_a_number_below_one_is_refused(rule):
    with pytest.raises(ValidationError, match="at least 1 token"):
        TypeAdapter(MaxLength).validate_python(rule, strict=True)


@pytest.mark.parametrize("rule", [True, 1.5, None])
def test_other_types_are_refused(rule):
    with pytest.raises(ValidationError):
        TypeAdapter(MaxLength).validate_python(rule, strict=True)
