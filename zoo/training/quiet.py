"""Lightning without the lines that tell our user nothing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning")

WARNINGS = {
    # Lightning 2.6 asks torch for what torch 2.13 calls by another name; nothing of ours, nothing to do.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated": FutureWarning,
    # `accelerator: cpu` is the user's word.
    r"GPU available but not used": UserWarning,
    # Python 3.12 warns of any fork beside a thread; data processes touch numpy and mapped files alone.
    r"This process \(pid=\d+\) is multi-threaded, use of fork\(\) may lead to deadlocks": DeprecationWarning,
    # Batches come from a memory-mapped cache; whether more processes help is for `data_workers` to say.
    r"The '.*' does not have many workers": UserWarning,
}


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within the block Lightning says only what is at least a warning, and not the warnings listed here."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message, category in WARNINGS.items():
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
