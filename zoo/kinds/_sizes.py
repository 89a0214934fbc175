"""What kinds of module have in common: the methods by which a spec may say how large its part is and what it costs."""

from __future__ import annotations


def sized(*context: str, further: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """The methods of zoo.sizes and zoo.costs, with what they are called with; parameters do not hang on further."""
    at_work = (*context, *further, "batch")
    return {"n_parameters": context, "n_kept": at_work, "cost": at_work}
