"""What happens to a line that cannot be used: an error that names it, or a count."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from zoo.errors import DataError

Policy = Literal["error", "skip"]


class BadLines:
    """The policy for bad lines of one pass over a split, and what it has met so far.

    A reader calls `report` for each bad line and goes on with the next one if that returns. Faults of a whole
    file (unequal line counts, a truncated .gz) are never skipped: readers raise them themselves.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.counts: Counter[str] = Counter()
        """Lines left out, by reason."""
        self.line = 0
        """Number of the line last read, from 1; 0 where the corpus has no lines."""
        self.place = ""
        """What to call the row last read, where a line of what the split is called does not say it."""

    def report(self, where: str, reason: str, detail: str) -> None:
        """Takes note of a bad line at `where` (file:line); its reason is counted, the detail only shown.

        Raises: DataError under the policy "error".
        """
        if self.policy == "error":
            text = f"{reason}: {detail}" if detail else reason
            raise DataError(f"{where}: {text} (task.bad_lines=skip leaves such lines out and counts them)")
        self.counts[reason] += 1
