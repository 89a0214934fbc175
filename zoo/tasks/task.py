"""What a task says: how a row becomes an example, what is learnt from it, what is predicted, scored and written.

Everything else is written once: zoo/tasks/prepared.py reads, encodes and batches the data, zoo/tasks/answering.py
applies a model to any rows, zoo/training learns and validates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import field_validator
from torch import Tensor, nn

from registry import Problem, Spec, suggest
from zoo.assembly.auxiliary import auxiliary_loss
from zoo.data.arrangement import Arrangement, ByLength
from zoo.data.bad_lines import Policy
from zoo.data.batches import BatchPlan
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.store import Example, ExampleStore
from zoo.data.tokenizer import Tokenizer
from zoo.generation.output import Output, outputs
from zoo.kinds import CORPUS, DECODING, METRIC, CorpusSpec, Metric, Row, mask_name
from zoo.losses import Sums
from zoo.progress import Report
from zoo.special_ids import SpecialIds

Rows = Callable[[], Iterator[Row]]
"""Reads the rows of a split from their beginning, as often as it is called."""


class TaskSpec(Spec):
    """Base of every task's spec."""

    reads: ClassVar[tuple[str, ...]]
    """The fields that a row must have."""
    may_read: ClassVar[tuple[str, ...]] = ()
    """Further fields that are read where a row has them."""

    longest_key: ClassVar[str] = "max_length"
    """The key by which it says how long an input may be."""
    searches: ClassVar[bool] = False
    """Whether its answers are searched for, so that a run of it needs `generation`."""

    data: Annotated[Spec, CORPUS]
    """Where the examples come from."""
    bad_lines: Literal["error", "skip"] = "error"
    """What happens to a line or record that is empty, no UTF-8 or the like: an error that names it, or left out and
    counted."""
    cache: str | None = None
    """Folder for the encoded data, which many runs may share; null: one in the run folder."""

    @property
    def asks(self) -> tuple[str, ...]:
        """The fields of a row that is asked about, then those that are found out: by default those that are learnt
        from."""
        return self.reads

    @property
    def longest(self) -> int:
        """Most tokens of an input; 0 where the spec bounds it by nothing."""
        return 0

    @field_validator("data")
    @classmethod
    def _named(cls, data: Spec) -> Spec:
        return data.read_by(cls.reads) if isinstance(data, CorpusSpec) else data

    def problems(self, path: str) -> list[Problem]:
        given = self.data.fields if isinstance(self.data, CorpusSpec) else self.reads
        missing = [name for name in self.reads if name not in given]
        if missing:
            message = (
                f"rows of {', '.join(given)} are given, and this task reads {', '.join(self.reads)}: "
                f"{', '.join(missing)} is missing"
            )
            return [Problem(f"{path}.data", message)]
        known = (*self.reads, *self.may_read)
        unread = [name for name in given if name not in known]
        if not unread or not getattr(self.data, "names_fields", False):
            return []
        message = (
            f"{', '.join(unread)}: no field that {self.type} reads; {suggest(unread[0], known, listed=True)}"
        )
        return [Problem(f"{path}.data.columns", message)]


MAX_CHARACTERS = 100_000
"""Longest text that is answered."""


@dataclass(frozen=True)
class Loss:
    """Loss of a batch, summed over what is predicted, so that batches of any size add up."""

    loss: Tensor
    """What is minimised, label smoothing included: an fp32 scalar with a gradient."""
    nll: Tensor
    """Negative log likelihood in nats, without smoothing: an fp32 scalar. Where nothing has a likelihood: the loss."""
    n_predicted: int
    """What the mean is taken over: predicted tokens, ends of sentences included, padding not; or rows, or values."""
    n_processed: int
    """Tokens of all sides, padding not counted: what speed is measured in."""
    sums: Mapping[str, float] = field(default_factory=dict)
    """What else is summed over a validation, such as bytes of text."""


class Batch:
    """B rows in tensors, by name. No dataclass: Lightning would copy it field by field."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor | None],
        *,
        size: str,
        n_processed: int,
        key: Any = None,
        examples: Sequence[Example] = (),
    ) -> None:
        self.tensors = dict(tensors)
        self.size = size
        """Such as "64 × 21 source and 64 × 25 target tokens": rows × length."""
        self.n_processed = n_processed
        """Tokens of all sides, padding not counted."""
        self.key = key
        """What `Prepared` knows it by."""
        self.examples = examples
        """What it was made of, where predictions are compared with it."""

    def __getitem__(self, name: str) -> Tensor:
        tensor = self.tensors[name]
        assert tensor is not None
        return tensor

    def get(self, name: str) -> Tensor | None:
        """A tensor that may be absent, such as the mask of rows without padding."""
        return self.tensors[name]

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device, not waiting for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in memory from which a GPU copies while it computes."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        tensors = {name: None if tensor is None else change(tensor) for name, tensor in self.tensors.items()}
        return Batch(
            tensors, size=self.size, n_processed=self.n_processed, key=self.key, examples=self.examples
        )


@dataclass(frozen=True)
class Refusal:
    """The answer for a row that the model cannot take."""

    why: str


@dataclass(frozen=True)
class Searched:
    """A search and what it is given, of a task that answers with the text of tokens."""

    search: Any
    """Of the kind decoding."""
    source: Tensor
    mask: Tensor | None
    tokenizer: Tokenizer
    """Of what is written."""

    def outputs(self, model: nn.Module) -> list[list[Output]]:
        """What the search finds for each row, best first."""
        found = self.search(model, self.source, self.mask, is_token=self.is_token)
        return [outputs(hypotheses, self.tokenizer) for hypotheses in found]

    @property
    def is_token(self) -> Tensor:
        """Which ids there is a token for: bool [n]."""
        return torch.tensor(self.tokenizer.is_token(), dtype=torch.bool)


class Task(ABC):
    """What is learnt, from which rows.

    Built with the spec of the model that learns it, and with the coders of the run: none before they are learnt.
    """

    varies: ClassVar[bool] = False
    """Whether `vary` does anything."""
    is_likely: ClassVar[bool] = False
    """Whether the loss is a likelihood of tokens or classes, by which a perplexity is told."""
    metric_spec: Spec | None = None
    """How answers are scored; None where the loss says everything."""
    writes_text: ClassVar[bool] = False
    """Whether an answer is a list of zoo.generation.output.Output, best first."""
    file_suffixes: ClassVar[frozenset[str]] = frozenset()
    """Endings of the names of files that are a row each, as `row_of_file` reads them."""
    file_fields: ClassVar[tuple[str, ...]] = ()
    """The fields of a row that may name such a file; the first is what it is read into."""
    size_keys: ClassVar[tuple[str, ...]] = ("training.tokens_per_batch",)
    """The keys of a run's spec that bound a batch's size."""

    def __init__(
        self, *, model: Spec, coders: Mapping[str, Coder], data: Spec, bad_lines: Policy, cache: str | None
    ) -> None:
        self.model = model
        self.coders = coders
        self.data = data
        self.bad_lines = bad_lines
        self.cache = cache

    # What is learnt from the data before training

    @property
    @abstractmethod
    def coder_names(self) -> tuple[str, ...]:
        """The coders that a run of this task has, by the stems of their files: each begins as zoo.data.coder.STEMS."""

    @abstractmethod
    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        """The coders, from the rows of the training split; report is told how far it is. Raises: DataError.

        Those in `coders` are there already, taken along from another folder, and need not be learnt.
        """

    def check_coders(self, folder: Path) -> None:  # noqa: B027 (most tasks have nothing to do here)
        """Raises: RunError where the coders found in a run folder are not those that the spec asks for."""

    def files(self, folder: Path, *, is_resumed: bool) -> Mapping[str, str]:
        """The SHA-256 of further files that decide what is learnt, by name; a new run checks and records them."""
        return {}

    def look_at(self, dev: Iterator[Row]) -> None:  # noqa: B027 (most tasks have nothing to do here)
        """Given the validation rows before training starts, to warn of what will not work."""

    # From rows to batches

    @property
    @abstractmethod
    def recipe(self) -> str:
        """Changes with everything that the examples of given rows depend on."""

    @property
    def is_strict(self) -> bool:
        """Whether a row without an example, such as one too long, is an error in training."""
        return False

    @abstractmethod
    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        """An example of each row to learn from, or why there is none; is_scored: with what predictions are compared
        with."""

    @abstractmethod
    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        """An example of each row to answer, with what the row has of what answers are compared with; or why the model
        cannot take it."""

    def questions(self, row: Row) -> Iterable[Row]:
        """The rows to answer by which an evaluation measures a row of the corpus: itself, unless it holds many."""
        return (row,)

    def row_of_file(self, path: Path) -> Row:
        """What a file holds, as a row to answer. Raises: ValueError, saying why, for one that cannot be read."""
        raise ValueError(f"{path}: no row of this task is a file")

    def row_of_numbers(self, row: Row) -> Row:
        """A row whose numbers may come as lists, as JSON has them. Raises: ValueError for what is no such row."""
        return row

    @abstractmethod
    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        """Tokens of each example on each side of a batch [N, sides]."""

    def arranged(
        self,
        store: ExampleStore,
        *,
        is_training: bool,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> Arrangement:
        """How the examples of a split are dealt out to batches: by length, unless a task knows better."""
        lengths = self.lengths(store)
        plan = BatchPlan(lengths, tokens_per_batch=tokens_per_batch, rows_per_batch=rows_per_batch, seed=seed)
        return ByLength(store, plan)

    @abstractmethod
    def length(self, example: Example) -> int:
        """Tokens of an example to answer, for batches of like lengths."""

    @property
    def cut_to(self) -> int | None:
        """Most tokens of an input, where what is longer is cut; None where nothing is."""
        return None

    def n_cut(self, example: Example) -> int:
        """Tokens of an example's text that the model is not given, being over `cut_to`."""
        return 0

    def cuts(self, store: ExampleStore) -> NDArray[np.integer]:
        """The same of each example [N]."""
        return np.zeros(len(store), np.int64)

    def vary(self, example: Example, random: np.random.Generator, *, is_training: bool) -> Example:
        """An example as it is met this time: masked, cropped, noised. A function of example and random numbers."""
        return example

    def unvaried(self, example: Example) -> Example:
        """An example with nothing in it masked or noised, as far as a row's vectors need it."""
        return example

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """The batch of some examples, which may lack what is learnt."""

    def compared(self, row: Row) -> Example:
        """The arrays that an answer to this row is compared with, and that are for nothing else."""
        return {}

    # Learning

    def start(self, model: nn.Module) -> None:  # noqa: B027 (most tasks have nothing to do here)
        """Called once in a run, before its first step, on the first process: sets weights of a new model.

        Raises: DataError.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """The loss of a batch; that of training may be smoothed, and contain what parts of the model add to it."""

    # Predicting

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The vectors of what is read [B, S, D] and which of them stand for real input, bool [B, S] | None.

        Of an encoder-decoder they are the encoder's.
        """
        built: Any = model
        slot = next(iter(built.slots))
        name = mask_name(built, slot)
        read = built.hidden if len(built.slots) == 1 else built.encode_masked
        found: tuple[Tensor, Tensor | None] = read(batch[slot], **{name: batch.tensors.get(name)})
        return found

    @property
    def n_scored(self) -> int | None:
        """Rows of the validation set that are predicted for the score; None: all."""
        return None

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> Sequence[Any]:
        """The answer for each row."""

    def searched(self, batch: Batch, decoding: Spec) -> Searched | None:
        """What is searched with for the answers to a batch; None where they are more than the text of tokens."""
        return None

    @abstractmethod
    def written(self, answer: Any) -> dict[str, Any]:
        """An answer as plain data for a line of JSON."""

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        """A row and its answer side by side, for a reader."""
        return {"row": self.shown(row), "answer": {} if isinstance(answer, Refusal) else self.written(answer)}

    def metric(self) -> Metric | None:
        """An empty metric; None where the loss says everything."""
        return None if self.metric_spec is None else METRIC.build(self.metric_spec)

    def derived(self, mean_nll: float, sums: Mapping[str, float]) -> dict[str, float]:
        """What a validation says by the loss, by name: the mean of nll, and what follows from it."""
        return {"loss": mean_nll, **({"perplexity": perplexity(mean_nll)} if self.is_likely else {})}

    @abstractmethod
    def shown(self, row: Row) -> str:
        """A row on one line, for the user to see that it is the right one."""


def require(
    model: Spec,
    *,
    learns: Collection[str],
    reads_tokens: bool | None = None,
    writes: bool | None = None,
    has_one_input: bool = False,
) -> None:
    """Raises: ValueError for a model whose head does not learn so (see zoo.losses.Learns), whose first input is
    tokens or is not, that writes or does not, or that has several inputs, where that is asked."""
    name, slots = model.type, model.slots  # type: ignore[attr-defined]
    head = model.head  # type: ignore[attr-defined]
    if head.learns not in learns:
        of = f"learns from {head.learns} labels" if head.learns else "learns nothing"
        raise ValueError(
            f"this task needs a head that learns from {' or '.join(sorted(learns))} labels; {head.type} {of}"
        )
    if reads_tokens is not None and reads_tokens != hasattr(
        first := next(iter(slots.values())), "vocab_size"
    ):
        wanted = "tokens" if reads_tokens else "something else than tokens"
        raise ValueError(f"this task needs a model that reads {wanted}; this one reads {first.type}")
    if writes is not None and writes != (model.writes is not None):  # type: ignore[attr-defined]
        raise ValueError(
            f"this task needs a model that {'writes' if writes else 'writes nothing'}; {name} "
            f"{'writes nothing' if writes else 'writes'}"
        )
    if has_one_input and len(slots) > 1:
        raise ValueError(f"this task needs a model of one input; {name} has {', '.join(slots)}")


def total(sums: Sums, model: nn.Module, batch: Batch, **further: float) -> Loss:
    """The loss of a batch by that of the head, and what the model's parts add to it in training."""
    loss = sums.loss
    if (auxiliary := auxiliary_loss(model)) is not None:
        loss = loss + sums.count * auxiliary
    return Loss(loss, sums.nll, sums.count, batch.n_processed, further)


def ids(tokens: Sequence[int], vocab_size: int) -> NDArray[np.integer]:
    """Token ids as an array, as small as their vocabulary lets it be."""
    return np.array(tokens, np.uint16 if vocab_size <= 1 << 16 else np.int32)


def random_of(seed: int, epoch: int, row: int) -> np.random.Generator:
    """What a row varies by in an epoch, whatever stands beside it; seed and epoch 0: in everything that measures."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch << 32 | row], np.uint64)))


def broken_text(text: str) -> str:
    """Why a line cannot be read; "" if it can. Broken bytes come as lone surrogates (the handler surrogateescape)."""
    if len(text) > MAX_CHARACTERS:
        return f"{len(text):,} characters, over {MAX_CHARACTERS:,}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"broken UTF-8 at character {error.start + 1}"
    return ""


def search_with(decoding: Spec, tokenizer: Tokenizer) -> Any:
    """The search that a decoding's spec says, over the special ids of the tokenizer that the model has learnt with.

    What the spec says besides, such as further ends of an imported model, is kept where it names the same ids.
    """
    said: SpecialIds | None = getattr(decoding, "ids", None)
    pad, start, end = tokenizer.pad, tokenizer.start, tokenizer.end
    if said is not None and (said.pad, said.start, said.ends[0]) != (pad, start, end):
        never = tuple(dict.fromkeys(number for number in (pad, start) if number != end))
        own = SpecialIds(pad=pad, start=start, end=end, never=never)
        decoding = decoding.model_copy(update={"ids": own})
    return DECODING.build(decoding)


def perplexity(mean_nll: float) -> float:
    """e to a mean negative log likelihood in nats, without overflow."""
    return math.exp(min(mean_nll, 700.0))  # e^710 is no float any more


def shortened(text: str, longest: int = 60) -> str:
    """A text's beginning, for a line."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return " ".join(cut.splitlines())
