from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
import torch
from torch import nn

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.kinds import MODEL, OPTIMIZER
from zoo.training.optimizers.groups import tables_of
from zoo.training.spec import TrainingSpec

OPTIMIZERS = ["adafactor", "adam", "adamw", "lion", "muon", "sgd"]
SMALL = {
    "type": "decoder_only",
    "d_model": 6,
    "tokens": {"type": "tokens", "vocab_size": 23},
    "position": "sinusoidal",
    "decoder": {
        "n_layers": 1,
        "layer": {
            "self_attention": {"type": "multi_head", "n_heads": 2},
            "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
        },
    },
    "head": {"type": "language_model", "predicts": "tokens", "tied": True},
}


class ModelOnly(Spec):
    model: Annotated[Spec, MODEL]


def optimizer(
    parameters: list[nn.Parameter], lr: float, *, tables: Sequence[nn.Parameter] = (), **spec: Any
) -> torch.optim.Optimizer:
    made = OPTIMIZER.build(
        parse(TrainingSpec, {"optimizer": spec}).optimizer, parameters=parameters, tables=tables, lr=lr
    )
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


@pytest.mark.parametrize("name", OPTIMIZERS)
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


def test_only_matrices_decay() -> None:
    model = build(parse(ModelOnly, {"model": SMALL}).model)
    parameters = list(model.parameters())
    made = optimizer(parameters, 1.0, tables=tables_of(model), type="adamw", weight_decay=0.5)
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    found = {name: decays[id(p)] for name, p in model.named_parameters()}
    tables = [name for name, p in model.named_parameters() if 23 in p.shape]
    assert tables  # the embedding, to which the head is tied
    for name, parameter in model.named_parameters():
        assert found[name] == (0.0 if name in tables or parameter.ndim < 2 else 0.5), name
    assert set(found.values()) == {0.0, 0.5}


def test_lion_takes_the_step_worked_out_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([[2.0, 2.0], [2.0, 2.0]]))
    lion = optimizer([weight], 0.1, type="lion", betas=[0.5, 0.75], weight_decay=0.5)
    weight.grad = torch.tensor([[3.0, -1.0], [0.0, 1.0]])
    lion.step()  # sign of half the gradient
    expected = 2.0 * 0.95 - 0.1 * torch.tensor([[1.0, -1.0], [0.0, 1.0]])
    torch.testing.assert_close(weight.detach(), expected)
    torch.testing.assert_close(lion.state[weight]["exp_avg"], weight.grad / 4)
    weight.grad = torch.tensor([[-1.0, 1.0], [1.0, -0.2]])
    lion.step()  # momentum 0.75, -0.25, 0, 0.25: sums of -0.25, 0.75, 1, 0.05 and their halves
    expected = expected * 0.95 - 0.1 * torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
    torch.testing.assert_close(weight.detach(), expected)


def test_muon_steps_are_nearly_orthogonal_and_the_rest_is_adamws() -> None:
    matrix, vector = nn.Parameter(torch.zeros(5, 3)), nn.Parameter(torch.zeros(5))
    table, filters = nn.Parameter(torch.zeros(7, 3)), nn.Parameter(torch.zeros(2, 3, 4))
    parameters = [vector, matrix, table, filters]
    settings = {"momentum": 0.0, "nesterov": False, "scale": "original", "weight_decay": 0.0}
    made = optimizer(parameters, 0.1, tables=[table], type="muon", **settings)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    made.step()
    u, _, v = torch.linalg.svd(matrix.grad, full_matrices=False)  # type: ignore[arg-type]
    step = matrix.detach() / -(0.1 * (5 / 3) ** 0.5)
    values = torch.linalg.svdvals(step)
    assert values.min() > 0.6  # what five iterations of these coefficients leave: between 0.7 and 1.2
    assert values.max() < 1.3
    torch.testing.assert_close(u.T @ step @ v.T, torch.diag((u.T @ step @ v.T).diag()), atol=0.02, rtol=0)
    for parameter in (vector, table, filters):  # Adam's first step
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.detach(), -0.1 * parameter.grad.sign(), rtol=1e-4, atol=1e-6)


def test_adafactor_takes_the_papers_first_step() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, -4.0]]))
    before, gradient = weight.detach().clone(), torch.tensor([[0.3, -0.1], [0.2, 0.4]])
    weight.grad = gradient.clone()
    optimizer([weight], 0.01, type="adafactor").step()
    square = gradient**2
    estimate = square.sum(1, keepdim=True) * square.sum(0) / square.sum()
    update = gradient / estimate.sqrt()
    update = update / update.square().mean().sqrt().clamp(min=1.0)
    rate = 0.01 * before.square().mean().sqrt()
    torch.testing.assert_close(weight.detach(), before - rate * update, rtol=1e-5, atol=1e-7)


def test_sgd_takes_the_step_worked_out_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    sgd = optimizer([weight], 0.1, type="sgd", momentum=0.5)
    for gradient in (3.0, -1.0):
        weight.grad = torch.tensor([gradient])
        sgd.step()
    assert weight.item() == pytest.approx(2.0 - 0.1 * 3.0 - 0.1 * (0.5 * 3.0 - 1.0), rel=1e-6)
    with pytest.raises(SpecError, match="nesterov needs a momentum"):
        optimizer([weight], 0.1, type="sgd", nesterov=True)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_goes_on_from_its_state_bit_for_bit(name: str) -> None:
    def steps(made: torch.optim.Optimizer, weights: list[nn.Parameter], numbers: range) -> None:
        for number in numbers:
            generator = torch.Generator().manual_seed(number)
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator)
            for group in made.param_groups:
                group["lr"] = 0.1 / (number + 1)
            made.step()

    alone = [nn.Parameter(torch.ones(3, 5)), nn.Parameter(torch.ones(3))]
    whole = optimizer(alone, 0.1, type=name)
    steps(whole, alone, range(5))
    weights = [nn.Parameter(torch.ones(3, 5)), nn.Parameter(torch.ones(3))]
    first = optimizer(weights, 0.1, type=name)
    steps(first, weights, range(2))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = optimizer(weights, 0.1, type=name)
    second.load_state_dict(torch.load(file, weights_only=True))
    steps(second, weights, range(2, 5))
    assert all(torch.equal(a, b) for a, b in zip(alone, weights, strict=True))
