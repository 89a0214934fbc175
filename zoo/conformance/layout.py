"""What every layout must do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.conformance.described import COST, DESCRIBED_LAWS
from zoo.conformance.modules import MODULE_LAWS, ONE_PLACE, ROWS
from zoo.conformance.trials import D, Law, Part, randomised, require, seeded, vectors
from zoo.kinds import LAYOUT, NORM


def layout_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(LAYOUT, spec, lambda: _layout(spec), run=_run_layout)


def _layout(spec: Spec) -> nn.Module:
    norm = NORM.entry("layer_norm").spec.model_validate({})
    return LAYOUT.build(spec, d_model=D, norms=(norm,) * 3, dropout=0.1)


def _run_layout(module: nn.Module, x: Tensor) -> Tensor:
    return module(x, [torch.sin, torch.tanh, torch.cos])


def each_sublayer_runs_once_and_in_order(part: Part) -> None:
    """A layout calls every sublayer once, in the order given."""
    seeded()
    calls: list[int] = []

    def sublayer(i: int) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            calls.append(i)
            return x.sin()

        return run

    randomised(part.make())(vectors(), [sublayer(i) for i in range(3)])
    require(calls == [0, 1, 2], f"sublayers ran as {calls}")


LAWS = (*MODULE_LAWS, ROWS, ONE_PLACE, Law(each_sublayer_runs_once_and_in_order), *DESCRIBED_LAWS, COST)
