"""Token ids that mean the same in every vocabulary of this project."""

from __future__ import annotations

PAD = 0
"""Fills up a batch's shorter rows."""
UNK = 1
"""What the vocabulary does not know."""
BOS = 2
"""Begins the target input."""
EOS = 3
"""Ends a source, and a target's labels."""
N_SPECIAL = 4
UNKNOWN_TEXT = "⁇"
"""How an unknown token is shown: seen, rather than silently left out."""
