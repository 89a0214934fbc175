"""Numbers of things in words."""

from __future__ import annotations

import pytest

from zoo.amounts import amount


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 threads"), (1, "1 thread"), (2, "2 threads"), (12_345, "12,345 threads")]
)
def test_one_thing_is_no_plural_and_thousands_are_parted(n: int, text: str) -> None:
    assert amount(n, "thread") == text
