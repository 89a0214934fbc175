"""Which parameters decay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn


def tables_of(model: nn.Module) -> list[nn.Parameter]:
    """The parameters whose rows are looked up by number; what a head is tied to is among them."""
    modules = (module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag))
    return [parameter for module in modules for parameter in module.parameters(recurse=False)]


def matrices(
    parameters: Sequence[nn.Parameter], tables: Sequence[nn.Parameter]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those that map vectors to vectors; and the others: biases, gains of norms (one axis), tables."""
    known = {id(table) for table in tables}
    are = [sum(n > 1 for n in p.shape) > 1 and id(p) not in known for p in parameters]
    pairs = list(zip(parameters, are, strict=True))
    return [p for p, is_matrix in pairs if is_matrix], [p for p, is_matrix in pairs if not is_matrix]


def decay_groups(
    parameters: Iterable[nn.Parameter], tables: Sequence[nn.Parameter], weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for torch.optim, none of them empty: matrices decay; biases, norms and embeddings do not."""
    decaying, others = matrices(list(parameters), tables)
    groups = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
