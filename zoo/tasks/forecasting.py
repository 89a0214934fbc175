"""Forecasting: windows of series of several variables in, the values that follow out; squared error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.levels import brings_to_level
from zoo.data.arrangement import Arrangement
from zoo.data.bad_lines import BadLines
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.corpora.series_csv import SeriesCsv, SeriesCsvSpec
from zoo.data.scaling import Scaling
from zoo.data.store import Example, ExampleStore
from zoo.data.windows import Windows, window_places
from zoo.errors import DataError
from zoo.kinds import METRIC, TASK, Row
from zoo.progress import Report
from zoo.tasks._forecasters import AtOnce, Forecaster, StepByStep, first_slot
from zoo.tasks.task import Batch, Loss, Refusal, Rows, Task, TaskSpec, require, total

N_SHOWN = 3
"""Times of a forecast that a sample shows."""


class ForecastingSpec(TaskSpec):
    reads: ClassVar = ("series",)

    type: Literal["forecasting"] = "forecasting"
    stride: int = Field(1, ge=1, le=10**6)
    """Times from one window to the next, in every split."""
    look_back: int | None = Field(None, ge=1, le=10**7)
    """Values that a forecast looks back at; null: the model's series_length. A model that writes needs it."""
    horizon: int | None = Field(None, ge=1, le=10**7)
    """Values forecast; null: the n_outputs of the model's head. A model that writes needs it."""
    instance_norm: bool = True
    """Whether each variable of a window is standardised by its own mean and deviation, which its forecast is given
    back (RevIN without learned weights), besides the standardisation by the training part. In a model that writes,
    each step by those of the values up to it. A model whose inputs scale a series does it itself."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "forecast"))
    """How forecasts are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        writes = model.writes is not None  # type: ignore[attr-defined]
        inputs, head = cast(Any, first_slot(model)), cast(Any, model).head
        require(model, learns={"value" if writes else "numbers"}, reads_tokens=False)
        if len(model.slots) > 1 or not hasattr(inputs, "values_per_place" if writes else "series_length"):  # type: ignore[attr-defined]
            wanted = "series_steps" if writes else "series_patches"
            raise ValueError(
                f"forecasting needs a model that reads series, such as {wanted}; this one reads {inputs.type}"
            )
        if self.instance_norm and brings_to_level(inputs):
            raise ValueError(
                f"the model scales each series itself (scaling: {inputs.scaling} of its inputs); set instance_norm "
                "to false"
            )
        given = {"look_back": self.look_back, "horizon": self.horizon}
        if not writes:
            fixed = {"look_back": inputs.series_length, "horizon": head.n_outputs}
            for (name, value), own in zip(given.items(), fixed.values(), strict=True):
                if value not in (None, own):
                    raise ValueError(f"{name} ({value}) is the model's, which is {own}; leave it out")
        elif missing := [name for name, value in given.items() if value is None]:
            raise ValueError(f"a model that writes reads and writes any length: set {' and '.join(missing)}")
        else:
            StepByStep.check(model, look_back=cast(int, self.look_back), horizon=cast(int, self.horizon))


@TASK.register(
    "forecasting",
    spec=ForecastingSpec,
    examples=[{"data": {"type": "waves", "n_train": 61, "n_dev": 23, "n_test": 29}}],
)
class Forecasting(Task):
    """Learns to forecast the next values of series, each variable by itself, all of them by the same weights.

    An encoder gives the whole horizon at once: how far it looks back is its `series_length`, how far ahead its head's
    `n_outputs`. A decoder learns at each step of a window what follows it, so that its loss is of the look-back too,
    and writes the horizon step by step; scores are of what it writes. Rows have `series`
    [T, V], and perhaps `n_before`, the times of it that are only looked back at. Every value is standardised by its
    variable's mean and deviation in the training part; loss and scores are of standardised values.
    Source: Nie et al. 2023 (PatchTST), section 3.1 (variables as rows); for the rest see zoo/tasks/_forecasters.py.
    Shapes: of a batch, past fp32 [B, look_back, V], future fp32 [B, horizon, V].
    """

    size_keys: ClassVar = ("training.rows_per_batch", "training.tokens_per_batch")
    coder_names: ClassVar = ("scaling",)
    file_suffixes: ClassVar = frozenset({".csv", ".csv.gz"})
    file_fields: ClassVar = ("series", "file")

    def __init__(
        self,
        *,
        stride: int,
        look_back: int | None,
        horizon: int | None,
        instance_norm: bool,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.forecaster: Forecaster = (
            AtOnce(self.model, instance_norm=instance_norm)
            if look_back is None or horizon is None or cast(Any, self.model).writes is None
            else StepByStep(self.model, look_back=look_back, horizon=horizon, instance_norm=instance_norm)
        )
        self.look_back = self.forecaster.look_back
        self.horizon = self.forecaster.horizon
        self.n_places = self.forecaster.n_places
        self.stride = stride
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
            return Rejected("too short", self._too_short(len(series) - begin))
        return {"series": self.scaling.scaled(series[begin:]), "first": np.array([first], np.int64)}

    def _places(self, first: int, length: int) -> NDArray[np.integer]:
        return window_places(first, length, self.look_back, self.horizon, self.stride)

    def _too_short(self, length: int) -> str:
        return (
            f"{length} values, but a window takes {self.look_back} to look back at (series_length of the model's "
            f"inputs, or task.look_back) and {self.horizon} to forecast (n_outputs of its head, or task.horizon)"
        )

    def _unusable(self, series: NDArray[Any]) -> str:
        """Why a series cannot be read; "" if it can."""
        V = len(self.scaling.mean)
        if series.ndim != 2 or series.shape[1] != V:
            return (
                f"a series of shape {list(series.shape)}, but {V} variables were learnt: it must be [T, {V}]"
            )
        return "" if np.isfinite(series).all() else "a value that is no finite number"

    def questions(self, row: Row) -> Iterator[Row]:
        """The windows of a series. Raises: DataError for other variables, and, if strict, where there is none."""
        series = np.asarray(row["series"])
        V, found = len(self.scaling.mean), series.shape[-1]
        if found != V:
            raise DataError(f"task.data: a series of {found} variables, but {V} were learnt")
        places = self._places(row.get("n_before", 0), len(series))
        if self.is_strict and not len(places):
            raise DataError(f"task.data: {self._too_short(len(series))}")
        for place in places:
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
            n_train=None,
            n_dev=None,
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
            n_tokens=self.n_places * len(self.scaling.mean),
            tokens_per_batch=tokens_per_batch,
            rows_per_batch=rows_per_batch,
            seed=seed,
        )

    def length(self, example: Example) -> int:
        return self.n_places * example["past"].shape[1]

    def collate(self, examples: Sequence[Example]) -> Batch:
        names = ("past", "future") if "future" in examples[0] else ("past",)
        tensors = {name: torch.from_numpy(np.stack([each[name] for each in examples])) for name in names}
        B, T, V = tensors["past"].shape
        return Batch(tensors, size=f"{B} × {T} values of {V} variables", n_processed=B * V * self.n_places)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Squared error of every value of every variable, in standardised units."""
        sums = self.forecaster.loss(model, _rows(batch["past"]), _rows(batch["future"]))
        return total(sums, model, batch)

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The vectors of the past, those of all variables in a row: [B, V·places, D]."""
        B = len(batch["past"])
        return self.forecaster.hidden(model, _rows(batch["past"])).unflatten(0, (B, -1)).flatten(1, 2), None

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[NDArray[np.float32]]:
        """The forecast [horizon, V] of each window, standardised."""
        B, _, V = batch["past"].shape
        forecast = self.forecaster.forecast(model, _rows(batch["past"]))  # [B·V, horizon]
        return list(forecast.detach().view(B, V, self.horizon).transpose(1, 2).cpu().numpy())

    def written(self, answer: Any) -> dict[str, Any]:
        return {"forecast": _plain(self.scaling.restored(answer))}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        """The first times of a forecast beside what came."""
        forecast = [] if isinstance(answer, Refusal) else self.written(answer)["forecast"][:N_SHOWN]
        return {"row": self.shown(row), "forecast": forecast, "future": _plain(row["future"][:N_SHOWN])}

    def shown(self, row: Row) -> str:
        T, V = np.shape(row["series"])
        return f"{T:,} values of {V} variables, {self.look_back} of which give the next {self.horizon}"


def _rows(series: Tensor) -> Tensor:
    """Series [B, T, V] as [B·V, T]: each variable a row."""
    return series.transpose(1, 2).flatten(0, 1)


def _plain(values: NDArray[Any]) -> list[list[float]]:
    """Numbers to six digits, for JSON."""
    return [[float(f"{value:.6g}") for value in row] for row in np.asarray(values)]
