"""What must not change between a run's sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping

from registry import Spec, differences, dump
from zoo.errors import RunError

FREE = frozenset(
    f"training.{key}"
    for key in (
        "max_steps", "max_minutes", "schedule.total_steps", "out_of_memory", "devices", "num_nodes", "strategy",
        "accumulate", "accelerator", "tf32", "compile", "activation_checkpointing", "deterministic", "data_workers",
        "max_skipped_steps",
        "log_every", "validate_every", "checkpoint_every", "keep_checkpoints", "average_last",
    )
)  # fmt: skip
"""Keys that a resumed run may change: how long, where and how closely watched, not what is learnt."""


def identity(run: Spec, fingerprint: str) -> dict[str, str]:
    """What a checkpoint remembers of its run: the spec as JSON and the data's fingerprint."""
    return {"spec": json.dumps(dump(run)), "data": fingerprint}


def check_identity(saved: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuses to go on with other weights' model, other data or another recipe.

    Where the data lies may change, for its content is compared; `devices`, `num_nodes` and `accumulate` may be
    exchanged for each other. `generation` only shows in later validations.
    Raises: RunError naming every key that differs.
    """
    before, after = json.loads(saved["spec"]), json.loads(now["spec"])
    n_before, n_after = (_batches_a_step(spec["training"]) for spec in (before, after))
    changed = [
        f"{key}: {old!r} when it was saved, now {new!r}"
        for key, old, new in (each.of_type() for each in differences(before, after))
        if key not in FREE and not key.startswith(("task.data.", "generation.", "training.loggers"))
    ]
    if n_before != n_after:
        n_ranks = after["training"]["devices"] * after["training"]["num_nodes"]
        same = (
            f"; training.accumulate={n_before // n_ranks} makes it the same"
            if n_before % n_ranks == 0
            else ""
        )
        changed.append(
            f"training.devices · num_nodes · accumulate: {n_before} when it was saved, now {n_after}{same}"
        )
    if saved["data"] != now["data"]:
        changed.append("the text or the tokenizer: not the one it was saved with")
    if changed:
        raise RunError("this run cannot be resumed, for it was changed: " + "; ".join(changed))


def _batches_a_step(training: Mapping[str, int]) -> int:
    return training["devices"] * training["num_nodes"] * training["accumulate"]
