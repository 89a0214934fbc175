"""Numbers of things in words."""

from __future__ import annotations


def amount(n: int, noun: str) -> str:
    """How many there are of what: "1 thread", "2,000 threads"."""
    return f"{n:,} {noun if n == 1 else f'{noun}s'}"
