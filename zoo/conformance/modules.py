"""What holds for a torch module of any kind."""

from __future__ import annotations

import copy

import torch

from zoo.conformance.graphs import GRAPH_LAWS
from zoo.conformance.precision import PRECISION_LAWS
from zoo.conformance.trials import D, Law, Part, randomised, require, same, seeded, vectors


def output_has_its_shape_and_is_finite(part: Part) -> None:
    """What it gives has the shape that its kind promises and finite values."""
    seeded()
    given = part.data()
    out = part.run(randomised(part.make()), given)
    wanted = part.shape(given)
    given_shape = list(out.shape)[: len(wanted)]
    require(given_shape == wanted, f"output {list(out.shape)}, wanted {wanted}")
    require(bool(out.isfinite().all()), "the output has values that are not finite")


_N_BATCHES = 8


def every_parameter_gets_a_gradient(part: Part) -> None:
    """Every parameter that is trained gets a gradient, finite and not zero everywhere, in one of eight batches."""
    seeded()
    module = randomised(part.make()).train()
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    for _ in range(_N_BATCHES if trained else 0):  # what chooses among its parameters needs some
        out = part.run(module, part.data())
        (out * torch.randn_like(out)).sum().backward()
        if all(p.grad is not None and bool(p.grad.any()) for p in trained.values()):
            break
    for name, parameter in trained.items():
        require(parameter.grad is not None, f"{name} gets no gradient")
        assert parameter.grad is not None
        require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")
        require(bool(parameter.grad.any()), f"the gradient of {name} is zero everywhere")


def state_round_trips(part: Part) -> None:
    """The state dict carries all that the output depends on, and what a forward pass in training changes."""
    seeded()
    module, other = randomised(part.make()), randomised(part.make())
    given = part.data()
    with torch.no_grad():
        part.run(module.train(), given)
    module.eval()
    expected = part.run(module, given)
    other.load_state_dict(copy.deepcopy(module.state_dict()))
    same(part.run(other, given), expected, "the state dict does not carry the whole state")


def meta_build_has_the_same_shapes(part: Part) -> None:
    """What is counted on the meta device is what is built."""
    with torch.device("meta"):
        meta = part.make()
    real = part.make()
    shapes = [{n: p.shape for n, p in module.named_parameters()} for module in (meta, real)]
    require(shapes[0] == shapes[1], f"on meta {shapes[0]}, on the CPU {shapes[1]}")
    require(all(p.is_meta for p in meta.parameters()), "a parameter was allocated on the meta device")


def evaluation_is_deterministic(part: Part) -> None:
    """Two evaluations of one input are the same."""
    seeded()
    module, given = randomised(part.make()), part.data()
    same(part.run(module, given), part.run(module, given), "two evaluations of one input")


def a_row_alone_equals_the_row_in_a_batch(part: Part) -> None:
    """Rows of a batch have no influence on each other, nor in training, where nothing is drawn at random."""
    seeded()
    module, given = randomised(part.make()), part.data()
    same(part.run(module, given[1:]), part.run(module, given)[1:], "a row alone and in a batch")
    module.train()
    whole, again = part.run(module, given), part.run(module, given)
    if torch.equal(whole, again):
        same(part.run(module, given[1:]), whole[1:], "in training, a row alone and in a batch")


def one_row_of_one_place_is_enough(part: Part) -> None:
    """One row of one place gives one vector."""
    seeded()
    out = part.run(randomised(part.make()), vectors()[:1, :1])
    require(list(out.shape) == [1, 1, D], f"output {list(out.shape)}, wanted {[1, 1, D]}")
    require(bool(out.isfinite().all()), "the output has values that are not finite")


MODULE_LAWS = (
    Law(output_has_its_shape_and_is_finite),
    Law(every_parameter_gets_a_gradient),
    Law(state_round_trips),
    Law(meta_build_has_the_same_shapes),
    Law(evaluation_is_deterministic),
    *PRECISION_LAWS,
    *GRAPH_LAWS,
)
ROWS = Law(a_row_alone_equals_the_row_in_a_batch)
ONE_PLACE = Law(one_row_of_one_place_is_enough)


def each_position_by_itself(part: Part) -> None:
    """Each position is worked out by itself, whatever stands beside it and wherever it stands."""
    seeded()
    module, x = randomised(part.make()), vectors()
    order = torch.tensor([3, 0, 4, 2, 1])
    whole = part.run(module, x)
    same(part.run(module, x[:, order]), whole[:, order], "reordered positions")
    same(part.run(module, x[:, 2:3]), whole[:, 2:3], "one position alone")
