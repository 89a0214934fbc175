from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from registry import SpecError, parse
from zoo.kinds import OPTIMIZER
from zoo.training.spec import TrainingSpec


def optimizer(parameters: list[nn.Parameter], lr: float, **spec: Any) -> torch.optim.Optimizer:
    made = OPTIMIZER.build(parse(TrainingSpec, {"optimizer": spec}).optimizer, parameters=parameters, lr=lr)
    assert isinstance(made, torch.optim.Optimizer)
    return made


def test_adam_takes_the_step_worked_out_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([[2.0]]))
    adam = optimizer([weight], 0.1, type="adam", betas=[0.5, 0.75], eps=1e-9)
    for gradient in (3.0, -1.0):
        weight.grad = torch.tensor([[gradient]])
        adam.step()
    # m: 1.5, 0.25 over 1 - 0.25; v: 2.25, 1.9375 over 1 - 0.5625: m̂ = 1/3, v̂ = 4.428571.
    assert weight.item() == pytest.approx(2.0 - 0.1 - 0.1 * (1 / 3) / 4.428571**0.5, rel=1e-6)


def test_adam_has_the_papers_numbers_by_default() -> None:
    (group,) = optimizer([nn.Parameter(torch.ones(1, 1))], 1.0, type="adam").param_groups
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.98), 1e-9, 0)


def test_adamw_decays_matrices_and_spares_vectors() -> None:
    matrix, vector = nn.Parameter(torch.full((2, 3), 5.0)), nn.Parameter(torch.full((3,), 5.0))
    adamw = optimizer([matrix, vector], 0.1, type="adamw", weight_decay=0.5)
    matrix.grad, vector.grad = torch.zeros(2, 3), torch.zeros(3)
    adamw.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 3), 5.0 * (1 - 0.1 * 0.5)))
    torch.testing.assert_close(vector.detach(), torch.full((3,), 5.0))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_step_without_gradients_changes_nothing(name: str) -> None:
    weight = nn.Parameter(torch.randn(2, 3))
    made = optimizer([weight], 0.1, type=name)
    weight.grad = torch.randn(2, 3)
    made.step()
    before = weight.detach().clone(), {k: v.clone() for k, v in made.state[weight].items()}
    weight.grad = None
    made.step()
    assert torch.equal(weight, before[0])
    assert all(torch.equal(made.state[weight][k], v) for k, v in before[1].items())


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_update_is_fused(name: str) -> None:
    made = optimizer([nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(3))], 0.1, type=name)
    assert all(group["fused"] for group in made.param_groups)


def test_a_decay_factor_of_one_is_refused() -> None:
    with pytest.raises(SpecError, match=r"optimizer\.betas\.1"):
        parse(TrainingSpec, {"optimizer": {"type": "adam", "betas": [0.9, 1.0]}})
