"""Numbers of things in words."""

from __future__ import annotations


def amount(n: int, noun: str) -> str:
    """How many there are of what: "1 thread", "2,000 threads"."""
    return f"{n:,} {noun if n == 1 else f'{noun}s'}"


def cut_text(n_cut: int, n_rows: int, cut_to: int | None) -> str:
    """How many of some rows are too long and were cut, for the user to read."""
    are = "is" if n_cut == 1 else "are"
    return (
        f"{n_cut:,} of {amount(n_rows, 'row')} {are} longer than {cut_to:,} tokens and cut (task.max_length)"
    )
