"""All types of coder."""

from __future__ import annotations

from pathlib import Path

from zoo.data import coder
from zoo.data.coder import Coder
from zoo.data.labels import Labels
from zoo.data.scaling import Scaling
from zoo.kinds import TOKENIZER


def load_coder(folder: Path, stem: str) -> Coder:
    """The coder that was saved in a run's folder under that stem. Raises: RunError as zoo.data.coder.load_coder."""
    tokenizers = {name: TOKENIZER.entry(name).builder.restore for name in TOKENIZER.names()}  # type: ignore[attr-defined]
    return coder.load_coder(
        folder, stem, {**tokenizers, "labels": Labels.restore, "scaling": Scaling.restore}
    )
