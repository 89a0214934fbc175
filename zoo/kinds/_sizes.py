"""What kinds of module have in common: the methods by which a spec may say how large its part is."""

from __future__ import annotations


def sized(*context: str) -> dict[str, tuple[str, ...]]:
    """The two methods of zoo.sizes, with what they are called with."""
    return {"n_parameters": context, "n_kept": (*context, "batch")}
