"""The generators start as torch's own function starts them."""

import pytest
import torch

from zoo.seeding import seed


@pytest.mark.parametrize("number", [0, 11, -5, -(2**63), 2**64 - 1])
def test_what_is_drawn_is_what_is_drawn_after_torchs_own_seed(number: int) -> None:
    torch.manual_seed(number)
    expected = torch.randn(19)
    seed(number)
    assert torch.equal(torch.randn(19), expected)


def test_the_generators_of_an_accelerator_start_too(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", started.append)
    seed(3)
    assert started == [3]
