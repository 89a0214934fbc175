"""Each test here has a list of kinds of its own, for many make one of the same name."""

import pytest

from registry import kind


@pytest.fixture(autouse=True)
def _no_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "_made", {})
