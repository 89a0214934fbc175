"""Tables 2, 3 and 4 of Vaswani et al. 2017 beside what the presets give: parameters, operations and measured scores."""

from __future__ import annotations

from dataclasses import dataclass

from registry import Spec
from zoo.analysis.cost import cost
from zoo.analysis.size import n_parameters

BASE = "transformer_base"
VOCABULARY = 41_100
"""Entries of a shared vocabulary (any from 41,004 to 41,208) with which ten of the eleven counts of Table 3 come out to
the million; the paper says "about 37000"."""
LENGTH = 32
"""Tokens of a sentence for which the operations of a training are counted."""
BATCH_TOKENS = 25_000
"""Of each side in a batch: section 5.1."""


@dataclass(frozen=True)
class Row:
    """A row of Table 3 or 4. Perplexities are per word piece, on newstest2013; BLEU there; F1 on section 23."""

    table: int
    rows: str
    """The letter of its rows in the paper."""
    preset: str
    change: str
    """What is other than in the base."""
    parameters: int | None = None
    """Millions, where the paper says them; rows without have the base's."""
    perplexity: float | None = None
    bleu: float | None = None
    f1: float | None = None


LEDGER: tuple[Row, ...] = (
    Row(3, "base", BASE, "", 65, 4.92, 25.8),
    Row(3, "A", "table3/heads_1", "1 head", None, 5.29, 24.9),
    Row(3, "A", "table3/heads_4", "4 heads", None, 5.00, 25.5),
    Row(3, "A", "table3/heads_16", "16 heads", None, 4.91, 25.8),
    Row(3, "A", "table3/heads_32", "32 heads", None, 5.01, 25.4),
    Row(3, "B", "table3/d_k_16", "d_k 16", 58, 5.16, 25.1),
    Row(3, "B", "table3/d_k_32", "d_k 32", 60, 5.01, 25.4),
    Row(3, "C", "table3/layers_2", "2 layers", 36, 6.11, 23.7),
    Row(3, "C", "table3/layers_4", "4 layers", 50, 5.19, 25.3),
    Row(3, "C", "table3/layers_8", "8 layers", 80, 4.88, 25.5),
    Row(3, "C", "table3/d_model_256", "d_model 256, d_k 32", 28, 5.75, 24.5),
    Row(3, "C", "table3/d_model_1024", "d_model 1024, d_k 128", 168, 4.66, 26.0),
    Row(3, "C", "table3/d_ff_1024", "d_ff 1024", 53, 5.12, 25.4),
    Row(3, "C", "table3/d_ff_4096", "d_ff 4096", 90, 4.75, 26.2),
    Row(3, "D", "table3/dropout_0", "dropout 0", None, 5.77, 24.6),
    Row(3, "D", "table3/dropout_0_2", "dropout 0.2", None, 4.95, 25.5),
    Row(3, "D", "table3/smoothing_0", "label smoothing 0", None, 4.67, 25.3),
    Row(3, "D", "table3/smoothing_0_2", "label smoothing 0.2", None, 5.47, 25.7),
    Row(3, "E", "table3/learned_positions", "learned positions", None, 4.92, 25.7),
    Row(3, "big", "transformer_big", "d_model 1024, d_ff 4096, 16 heads, dropout 0.3", 213, 4.33, 26.4),
    Row(4, "WSJ only", "parser_paper", "", None, None, None, 91.3),
    Row(4, "semi-supervised", "table4/semi_supervised", "32K tokens, 17 M sentences", None, None, None, 92.7),
)

TABLE_2: dict[str, float] = {BASE: 3.3e18, "transformer_big": 2.3e19}
"""Training cost in the paper: the time of training times 8 GPUs times what it takes each to sustain, 9.5e12 operations
a second of single precision (section 5.2, Table 2 and its footnote)."""


@dataclass(frozen=True)
class Counted:
    """A row with what its preset gives."""

    row: Row
    n_parameters: int
    """With the preset's vocabulary."""
    n_parameters_there: int | None
    """With VOCABULARY entries; None in Table 4."""

    @property
    def agrees(self) -> bool | None:
        """Whether that is the paper's count to the million; None where the paper says none."""
        if self.row.parameters is None or self.n_parameters_there is None:
            return None
        return round(self.n_parameters_there / 1e6) == self.row.parameters


def counted(row: Row, model: Spec, there: Spec | None) -> Counted:
    """A row whose preset has that model; `there` is the model with VOCABULARY entries."""
    return Counted(row, n_parameters(model), None if there is None else n_parameters(there))


def training_operations(model: Spec, n_steps: int) -> float:
    """Operations of a training on batches of BATCH_TOKENS tokens of each side, in sentences of LENGTH tokens.

    Products only, as everywhere in zoo.costs.
    """
    return cost(model, length=LENGTH).training / LENGTH * BATCH_TOKENS * n_steps
