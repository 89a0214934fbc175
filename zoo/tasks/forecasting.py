"""Forecasting: windows of series of several variables in, the values that follow out; squared error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data.arrangement import Arrangement
from zoo.data.bad_lines import BadLines, Policy
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.corpora.series_csv import SeriesCsv, SeriesCsvSpec
from zoo.data.scaling import Scaling
from zoo.data.store import Example, ExampleStore
from zoo.data.windows import Windows, window_places
from zoo.errors import DataError
from zoo.kinds import METRIC, TASK, Row
from zoo.progress import Report
from zoo.tasks.task import Batch, Loss, Refusal, Rows, Task, TaskSpec, require, total

EPS = 1e-5
"""Added to a window's variance, as in RevIN, so that a constant one is not divided by 0."""
N_SHOWN = 3
"""Times of a forecast that a sample shows."""


class ForecastingSpec(TaskSpec):
    reads: ClassVar = ("series",)

    type: Literal["forecasting"] = "forecasting"
    stride: int = Field(1, ge=1, le=10**6)
    """Times from one window to the next, in every split."""
    instance_norm: bool = True
    """Whether each variable of a window is standardised by its own mean and deviation, which its forecast is given
    back (RevIN without learned weights), besides the standardisation by the training part."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "forecast"))
    """How forecasts are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        require(model, learns={"numbers"}, reads_tokens=False, writes=False)
        if not hasattr(inputs := _inputs(model), "series_length"):
            raise ValueError(
                f"forecasting needs a model that reads series, such as series_patches; this one reads {inputs.type}"
            )


@TASK.register(
    "forecasting",
    spec=ForecastingSpec,
    examples=[{"data": {"type": "waves", "n_train": 61, "n_dev": 23, "n_test": 29}}],
)
class Forecasting(Task):
    """Learns to forecast the next values of series, each variable by itself, all of them by the same weights.

    How far it looks back is the model's `series_length`, how far ahead its head's `n_outputs`. Rows have `series`
    [T, V], and perhaps `n_before`, the times of it that are only looked back at. Every value is standardised by its
    variable's mean and deviation in the training part; loss and scores are of standardised values.
    Source: Nie et al. 2023 (PatchTST), section 3.1 (variables as rows); Kim et al. 2022 (RevIN).
    Shapes: of a batch, past fp32 [B, look_back, V], future fp32 [B, horizon, V].
    """

    size_keys: ClassVar = ("training.rows_per_batch", "training.tokens_per_batch")
    coder_names: ClassVar = ("scaling",)
    file_suffixes: ClassVar = frozenset({".csv", ".csv.gz"})
    file_fields: ClassVar = ("series", "file")

    def __init__(
        self,
        *,
        model: Spec,
        coders: Mapping[str, Coder],
        data: Spec,
        bad_lines: Policy,
        cache: str | None,
        stride: int,
        instance_norm: bool,
        metric: Spec,
    ) -> None:
        super().__init__(model=model, coders=coders, data=data, bad_lines=bad_lines, cache=cache)
        inputs, head = cast(Any, _inputs(model)), cast(Any, model).head
        self.look_back: int = inputs.series_length
        self.horizon: int = head.n_outputs
        self.n_patches: int = getattr(inputs, "length", self.look_back)
        self.stride = stride
        self.instance_norm = instance_norm
        self.metric_spec = metric

    # What is learnt from the data before training

    @property
    def scaling(self) -> Scaling:
        """Mean and deviation of each variable in the training part."""
        return cast(Scaling, self.coders["scaling"])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        """The scaling. Raises: DataError for series of different variables."""
        parts = [np.asarray(row["series"])[row.get("n_before", 0) :] for row in rows()]
        sizes = sorted({part.shape[1] for part in parts})
        if len(sizes) > 1:
            raise DataError(f"every series must have as many variables: there are {sizes[0]} and {sizes[-1]}")
        return {"scaling": Scaling.of(np.concatenate(parts))}

    # From rows to batches

    @property
    def recipe(self) -> str:
        return f"forecasting {self.look_back} {self.horizon} {self.stride} {self.scaling.sha256}"

    @property
    def is_strict(self) -> bool:
        return self.bad_lines == "error"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [self._example(row) for row in rows]

    def _example(self, row: Row) -> Example | Rejected:
        series, n_before = np.asarray(row["series"]), row.get("n_before", 0)
        if why := self._unusable(series):
            return Rejected("other variables", why)
        begin = max(0, n_before - self.look_back)
        first = n_before - begin
        if not len(self._places(first, len(series) - begin)):
            detail = (
                f"{len(series) - begin} values, but a window takes {self.look_back} to look back at "
                f"(series_length of the model's inputs) and {self.horizon} to forecast (n_outputs of its head)"
            )
            return Rejected("too short", detail)
        return {"series": self.scaling.scaled(series[begin:]), "first": np.array([first], np.int64)}

    def _places(self, first: int, length: int) -> NDArray[np.integer]:
        return window_places(first, length, self.look_back, self.horizon, self.stride)

    def _unusable(self, series: NDArray[Any]) -> str:
        """Why a series cannot be read; "" if it can."""
        V = len(self.scaling.mean)
        if series.ndim != 2 or series.shape[1] != V:
            return (
                f"a series of shape {list(series.shape)}, but {V} variables were learnt: it must be [T, {V}]"
            )
        return "" if np.isfinite(series).all() else "a value that is no finite number"

    def questions(self, row: Row) -> Iterator[Row]:
        """The windows of a series."""
        series = np.asarray(row["series"])
        for place in self._places(row.get("n_before", 0), len(series)):
            past, future = series[place - self.look_back : place], series[place : place + self.horizon]
            yield {"series": past, "future": future}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        """Of each row what its end is forecast from, and its `future`, where it has one."""
        found: list[Example | Refusal] = []
        for row in rows:
            series = np.asarray(row["series"])
            if why := self._unusable(series):
                found.append(Refusal(why))
            elif len(series) < self.look_back:
                found.append(Refusal(f"{len(series)} values, but the model looks back at {self.look_back}"))
            else:
                past = self.scaling.scaled(series[-self.look_back :])
                found.append({"past": past, **self.compared(row)})
        return found

    def row_of_file(self, path: Path) -> Row:
        """The series of a CSV file, read as the corpus series_csv reads it, with its settings where it is the run's."""
        own = self.data if isinstance(self.data, SeriesCsvSpec) else None
        corpus = SeriesCsv(
            path=str(path),
            ignore=("date",) if own is None else own.ignore,
            delimiter="," if own is None else own.delimiter,
            n_train=1,
            n_dev=1,
            n_test=0,
        )
        try:
            return {"series": corpus.whole(bad_lines=BadLines("error"))}
        except DataError as error:  # without what would help a training
            raise ValueError(str(error).partition(" (task.bad_lines=")[0]) from None

    def row_of_numbers(self, row: Row) -> Row:
        return {**row, "series": np.asarray(row["series"], np.float64)}

    def compared(self, row: Row) -> Example:
        return {"future": self.scaling.scaled(np.asarray(row["future"]))} if "future" in row else {}

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return store.columns["series"].lengths()[:, None]

    def arranged(
        self,
        store: ExampleStore,
        *,
        is_training: bool,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> Arrangement:
        """By windows: one is a row, and has a token for each patch of each variable."""
        return Windows(
            store,
            look_back=self.look_back,
            horizon=self.horizon,
            stride=self.stride,
            n_tokens=self.n_patches * len(self.scaling.mean),
            tokens_per_batch=tokens_per_batch,
            rows_per_batch=rows_per_batch,
            seed=seed,
        )

    def length(self, example: Example) -> int:
        return self.n_patches * example["past"].shape[1]

    def collate(self, examples: Sequence[Example]) -> Batch:
        names = ("past", "future") if "future" in examples[0] else ("past",)
        tensors = {name: torch.from_numpy(np.stack([each[name] for each in examples])) for name in names}
        B, T, V = tensors["past"].shape
        return Batch(tensors, size=f"{B} × {T} values of {V} variables", n_processed=B * V * self.n_patches)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Squared error of every value of every variable, in standardised units."""
        forecaster, past, future = cast(Any, model), _rows(batch["past"]), _rows(batch["future"])
        mean, scale = self._level(past)
        hidden, mask = forecaster.hidden((past - mean) / scale)
        sums = forecaster.head.loss(hidden, (future - mean) / scale, mask=mask, scale=scale.squeeze(1))
        return total(sums, model, batch)

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The vectors of all patches of all variables of each window: [B, V·N, D]."""
        mean, scale = self._level(rows := _rows(batch["past"]))
        vectors, mask = cast(Any, model).hidden((rows - mean) / scale)  # [B·V, N, D]
        n_variables = batch["past"].shape[2]
        parts = [None if each is None else each.unflatten(0, (-1, n_variables)) for each in (vectors, mask)]
        first, second = (None if each is None else each.flatten(1, 2) for each in parts)
        return cast(Tensor, first), second

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[NDArray[np.float32]]:
        """The forecast [horizon, V] of each window, standardised."""
        past = batch["past"]
        B, _, V = past.shape
        mean, scale = self._level(rows := _rows(past))
        forecast = model((rows - mean) / scale).float() * scale + mean  # [B·V, horizon]
        return list(forecast.detach().view(B, V, self.horizon).transpose(1, 2).cpu().numpy())

    def _level(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation [N, 1] by which series [N, T] are standardised."""
        if not self.instance_norm:
            return series.new_zeros(len(series), 1), series.new_ones(len(series), 1)
        mean, variance = series.mean(1, keepdim=True), series.var(1, correction=0, keepdim=True)
        return mean, (variance + EPS).sqrt()

    def written(self, answer: Any) -> dict[str, Any]:
        return {"forecast": _plain(self.scaling.restored(answer))}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        """The first times of a forecast beside what came."""
        forecast = [] if isinstance(answer, Refusal) else self.written(answer)["forecast"][:N_SHOWN]
        return {"row": self.shown(row), "forecast": forecast, "future": _plain(row["future"][:N_SHOWN])}

    def shown(self, row: Row) -> str:
        T, V = np.shape(row["series"])
        return f"{T:,} values of {V} variables, {self.look_back} of which give the next {self.horizon}"


def _inputs(model: Any) -> Spec:
    first: Spec = next(iter(model.slots.values()))
    return first


def _rows(series: Tensor) -> Tensor:
    """Series [B, T, V] as [B·V, T]: each variable a row."""
    return series.transpose(1, 2).flatten(0, 1)


def _plain(values: NDArray[Any]) -> list[list[float]]:
    """Numbers to six digits, for JSON."""
    return [[float(f"{value:.6g}") for value in row] for row in np.asarray(values)]
