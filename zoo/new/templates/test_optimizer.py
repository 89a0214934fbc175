"""What this optimizer promises."""

import torch
from torch import nn
from zoo.kinds import OPTIMIZER

from my_part import MyPart, MyPartSpec


def optimizer(*weights: nn.Parameter) -> MyPart:
    return OPTIMIZER.build(MyPartSpec(), parameters=weights, tables=[], lr=0.1)


def test_a_first_step_has_the_length_of_the_rate_whatever_the_gradient() -> None:
    for scale in (1e-3, 1.0, 1e3):
        weight = nn.Parameter(torch.zeros(3, 5))
        weight.grad = scale * torch.randn(3, 5)
        optimizer(weight).step()
        torch.testing.assert_close(weight.square().mean().sqrt().item(), 0.1)


def test_it_goes_on_from_its_state() -> None:
    gradients = torch.randn(3, 4, 2)
    whole, cut = nn.Parameter(torch.zeros(4, 2)), nn.Parameter(torch.zeros(4, 2))
    first, second = optimizer(whole), optimizer(cut)
    for i, gradient in enumerate(gradients):
        if i == 2:
            state = second.state_dict()
            second = optimizer(cut)
            second.load_state_dict(state)
        whole.grad, cut.grad = gradient, gradient
        first.step()
        second.step()
    assert torch.equal(whole, cut)
