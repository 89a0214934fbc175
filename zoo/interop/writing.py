"""How causal language models are searched, by the token ids of their config."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config


def greedy(config: Config, *, start: int | None, end: int | None, pad: int | None = None) -> dict[str, Any]:
    """A config -> greedy search as plain data; the ids are transformers' defaults. Without a padding id, the end's."""
    last = config.value("eos_token_id", end)
    if isinstance(last, list):
        last = (
            last[0]
            if len(last) == 1
            else config.refuse("eos_token_id", f"a search of ours has one end, not {last}")
        )
    if last is None:
        config.refuse("eos_token_id", "no token is said to end an output")
    first, filler = (
        config.nullable_integer("bos_token_id", start),
        config.nullable_integer("pad_token_id", pad),
    )
    ids = {
        "pad": last if filler is None or filler < 0 else filler,
        "start": last if first is None else first,
        "end": last,
        "never": [],
    }
    return {"type": "greedy", "max_length": "source + 100", "ids": ids}
