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


def its_wiring_leads_through_a_layer(part: Part) -> None:
    """A wiring that its spec says passes the sublayer once, and has as many sums behind it as forks before it."""
    wiring = getattr(part.spec, "wiring", ())
    require(isinstance(wiring, tuple), f"the wiring {wiring!r} is no tuple of steps")
    if not wiring:
        return
    require(wiring.count("sublayer") == 1, f"{wiring} passes a sublayer {wiring.count('sublayer')} times")
    at = wiring.index("sublayer")
    forks, sums = [[step.split()[0] for step in half] for half in (wiring[:at], wiring[at:])]
    n_forks, n_sums = forks.count("fork"), sums.count("add")
    require(
        n_forks == n_sums <= 1,
        f"{wiring} has {n_forks} forks before its sublayer and {n_sums} sums behind it",
    )
    require("add" not in forks and "fork" not in sums, f"{wiring} adds before it forks")


LAWS = (
    *MODULE_LAWS,
    ROWS,
    ONE_PLACE,
    Law(each_sublayer_runs_once_and_in_order),
    Law(its_wiring_leads_through_a_layer, ("spec",)),
    *DESCRIBED_LAWS,
    COST,
)
