"""Numbers of things in words, and in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def amount(n: int, noun: str) -> str:
    """How many there are of what: "1 thread", "2,000 threads"."""
    return f"{n:,} {noun if n == 1 else f'{noun}s'}"


def cut_text(n_cut: int, n_rows: int, cut_to: int | None) -> str:
    """How many of some rows are too long and were cut, for the user to read."""
    are = "is" if n_cut == 1 else "are"
    return (
        f"{n_cut:,} of {amount(n_rows, 'row')} {are} longer than {cut_to:,} tokens and cut (task.max_length)"
    )


def aligned(rows: Iterable[Sequence[str]], *, n_left: int, ends_left: bool = False) -> list[str]:
    """Columns two blanks apart, the first n_left to the left, the others to the right; ends_left: all but the last."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {*range(n_left), *([len(widths) - 1] if ends_left else [])}
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
