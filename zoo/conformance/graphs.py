"""What holds for a part as a graph: compiled, and exported."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.conformance.trials import Law, Part, randomised, require, seeded


class _Run(nn.Module):
    """A part as its laws run it: one tensor in, one out."""

    def __init__(self, part: Part, module: Any) -> None:
        super().__init__()
        self.part, self.module = part, module

    def forward(self, given: Tensor) -> Tensor:
        return self.part.run(self.module, given)


def it_compiles_as_one_graph(part: Part) -> None:
    """torch.compile takes it without a break, and its graph gives what it gives."""
    seeded()
    module, given = _Run(part, randomised(part.make()).float()), _single(part.data())
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
        _close(compiled(given), module(given), "compiled")


def it_exports(part: Part) -> None:
    """torch.export takes it, and its program gives what it gives."""
    seeded()
    module, given = _Run(part, randomised(part.make()).float()), _single(part.data())
    with torch.no_grad():
        program = torch.export.export(module, (given,))
        _close(program.module()(given), module(given), "exported")


def _single(given: Tensor) -> Tensor:
    return given.float() if given.is_floating_point() else given


def _close(ours: Tensor, theirs: Tensor, how: str) -> None:
    require(ours.shape == theirs.shape, f"{how} it gives {list(ours.shape)}, else {list(theirs.shape)}")
    difference = (ours - theirs).abs().max().item() / max(1.0, theirs.abs().max().item())
    require(difference < 1e-4, f"{how} and as it is, they differ by {difference:.3g}")


GRAPH_LAWS = (Law(it_compiles_as_one_graph, is_slow=True), Law(it_exports, is_slow=True))
