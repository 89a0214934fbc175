"""What holds between a part and the spec that describes it, and what a model does with its parts."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from registry import Spec, dump, parse
from zoo import costs, sizes
from zoo.conformance.mixing import positions_of
from zoo.conformance.trials import B, D, H, Law, Part, S, T, require, seeded
from zoo.kinds import INITIALIZATION, MIXER, NORM

_UNDRAWN = 7.25


def the_spec_round_trips(part: Part) -> None:
    """A spec written as plain data, by way of JSON, and read again is the same spec."""
    written = json.loads(json.dumps(dump(part.spec)))
    again = parse(part.kind.entry(part.spec.type).spec, written)
    require(again == part.spec, f"{part.spec!r} comes back as {again!r}")


def its_size_is_what_is_built(part: Part) -> None:
    """The number of parameters that the spec says is that of the part that is built."""
    said = sizes.n_parameters(part.kind, part.spec, **_context(part, part.kind.calls["n_parameters"]))
    given = _context(part, part.kind.context)
    built = sizes.on_meta(lambda: part.kind.build(part.spec, **given))
    n_built = sum(parameter.numel() for parameter in built.parameters())
    require(said == n_built, f"its formula says {said} parameters, {n_built} are built")


def its_cost_is_what_runs(part: Part) -> None:
    """The operations of a forward pass that the spec says are those that torch counts of it."""
    said = costs.cost(part.kind, part.spec, **_context(part, part.kind.calls["cost"])).forward
    module, x = part.make().to("meta"), torch.empty(B, T, D, device="meta", requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        part.run(module, x)
    counted = counter.get_total_flops()
    require(said == counted, f"its formula says {said} operations, torch counts {counted}")


def an_initialisation_reaches_every_matrix(part: Part) -> None:
    """What draws a model's first weights draws each matrix of the part, but for those that it draws by itself."""
    seeded()
    module = part.make()
    matrices = {name: p for name, p in module.named_parameters() if p.requires_grad and p.dim() > 1}
    for matrix in matrices.values():
        nn.init.constant_(matrix, _UNDRAWN)
    INITIALIZATION.build(INITIALIZATION.entry("normal").spec.model_validate({}))(module)
    for each in module.modules():
        if callable(draw := getattr(each, "draw_first_values", None)):
            draw()
    for name, matrix in matrices.items():
        require(not bool((matrix == _UNDRAWN).all()), f"{name} {list(matrix.shape)} is not drawn")


def _context(part: Part, names: tuple[str, ...]) -> dict[str, Any]:
    """What a kind hands in, by name, at the sizes of the laws."""
    norm: Spec = NORM.entry("layer_norm").spec.model_validate({})
    known: dict[str, Any] = {
        "d_model": D,
        "n_heads": H,
        "dropout": 0.1,
        "norms": (norm,) * 3,
        "role": "causal" if "self" in part.lacks else "self",
        "position": positions_of(part.spec) if part.kind is MIXER else None,
        "batch": sizes.Batch(B * T, T, memory_length=S),
    }
    return {name: known[name] for name in names}


SPEC = Law(the_spec_round_trips, ("spec",))
DRAWN = Law(an_initialisation_reaches_every_matrix)
DESCRIBED_LAWS = (SPEC, Law(its_size_is_what_is_built, ("spec",)))
COST = Law(its_cost_is_what_runs, ("spec",))
