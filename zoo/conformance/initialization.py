"""What every initialisation must do."""

from __future__ import annotations

import torch
from torch import nn

from registry import Spec
from zoo.conformance.described import SPEC
from zoo.conformance.trials import D, Law, Part, V, require
from zoo.kinds import INITIALIZATION


def initialization_part(spec: Spec) -> Part:
    """The part that a spec describes."""
    return Part(INITIALIZATION, spec, lambda: INITIALIZATION.build(spec))


def one_seed_gives_one_set_of_weights(part: Part) -> None:
    """An initialisation draws from torch's global generator alone."""
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        model = nn.ModuleList([nn.Linear(D, V), nn.Embedding(V, D)])
        part.make()(model)
        drawn.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    require(torch.equal(drawn[0], drawn[1]), "one seed gave two sets of weights")
    require(not torch.equal(drawn[0], drawn[2]), "two seeds gave one set of weights")
    require(bool(drawn[0].isfinite().all()), "a weight is not finite")


LAWS = (Law(one_seed_gives_one_set_of_weights), SPEC)
