"""What holds for a torch module of any kind."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.conformance.trials import B, D, Law, randomised, require, same, seeded, vectors


def module_laws(
    make: Callable[[Spec], nn.Module],
    run: Callable[[nn.Module, Tensor], Tensor],
    data: Callable[[Spec], Tensor],
    shape: Callable[[Spec, Tensor], list[int]] = lambda spec, given: [B, given.shape[1], D],
) -> list[Law]:
    """What holds for any module that maps data to an output of the shape that spec and data call for."""

    def output_has_its_shape_and_is_finite(spec: Spec) -> None:
        seeded()
        given = data(spec)
        out = run(randomised(make(spec)), given)
        wanted = shape(spec, given)
        given_shape = list(out.shape)[: len(wanted)]
        require(given_shape == wanted, f"output {list(out.shape)}, wanted {wanted}")
        require(bool(out.isfinite().all()), "the output has values that are not finite")

    def every_parameter_gets_a_gradient(spec: Spec) -> None:
        seeded()
        module = randomised(make(spec)).train()
        out = run(module, data(spec))
        if not any(parameter.requires_grad for parameter in module.parameters()):
            return
        (out * torch.randn_like(out)).sum().backward()
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            require(parameter.grad is not None, f"{name} gets no gradient")
            assert parameter.grad is not None
            require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")
            require(bool(parameter.grad.any()), f"the gradient of {name} is zero everywhere")

    def state_round_trips(spec: Spec) -> None:
        seeded()
        module, other = randomised(make(spec)), randomised(make(spec))
        given = data(spec)
        expected = run(module, given)
        other.load_state_dict(copy.deepcopy(module.state_dict()))
        same(run(other, given), expected, "the state dict does not carry the whole state")

    def meta_build_has_the_same_shapes(spec: Spec) -> None:
        with torch.device("meta"):
            meta = make(spec)
        real = make(spec)
        shapes = [{n: p.shape for n, p in module.named_parameters()} for module in (meta, real)]
        require(shapes[0] == shapes[1], f"on meta {shapes[0]}, on the CPU {shapes[1]}")
        require(all(p.is_meta for p in meta.parameters()), "a parameter was allocated on the meta device")

    def evaluation_is_deterministic(spec: Spec) -> None:
        seeded()
        module, given = randomised(make(spec)), data(spec)
        same(run(module, given), run(module, given), "two evaluations of one input")

    return [
        output_has_its_shape_and_is_finite,
        every_parameter_gets_a_gradient,
        state_round_trips,
        meta_build_has_the_same_shapes,
        evaluation_is_deterministic,
    ]


def positionwise(make: Callable[[Spec], nn.Module]) -> Law:
    """What holds for a module that works on each position by itself."""

    def each_position_by_itself(spec: Spec) -> None:
        seeded()
        module, x = randomised(make(spec)), vectors()
        order = torch.tensor([3, 0, 4, 2, 1])
        same(module(x[:, order]), module(x)[:, order], "reordered positions")
        same(module(x[:, 2:3]), module(x)[:, 2:3], "one position alone")

    return each_position_by_itself


def any_vectors(spec: Spec) -> Tensor:
    """Random x [B, T, D] for a part of any spec."""
    return vectors()


def call(module: nn.Module, given: Tensor) -> Tensor:
    """What the module gives."""
    return module(given)
