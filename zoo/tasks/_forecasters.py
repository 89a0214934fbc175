"""The two ways to forecast: an encoder that gives the whole horizon at once, and a decoder that writes it step by step.

Both take series of one variable, [N, look_back] in and [N, horizon] out, and bring each to a level of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Spec, inner
from zoo.components.levels import brings_to_level, level_of
from zoo.losses import Sums

EPS = 1e-5
"""Added to a variance, as in RevIN, so that what is constant is not divided by 0."""


class Forecaster(ABC):
    """What a model's loss and forecast are.

    look_back and horizon are values, n_places the vectors that a window takes in training.
    """

    look_back: int
    horizon: int
    n_places: int

    @abstractmethod
    def loss(self, model: nn.Module, past: Tensor, future: Tensor) -> Sums:
        """Squared error of what is learnt from past [N, look_back] and future [N, horizon], in their units."""

    @abstractmethod
    def hidden(self, model: nn.Module, past: Tensor) -> Tensor:
        """The model's vectors of a past: [N, places, D]."""

    @abstractmethod
    def forecast(self, model: nn.Module, past: Tensor) -> Tensor:
        """What follows the past: fp32 [N, horizon]."""


class AtOnce(Forecaster):
    """The whole horizon from the whole past.

    Each past is standardised by its own mean and deviation, which its forecast is given back; a model that does so
    itself, by its inputs' scaling, is given it as it is.
    Source: Nie et al. 2023 (PatchTST), section 3.1; Kim et al. 2022 (RevIN), without learned weights.
    """

    def __init__(self, model: Any, *, instance_norm: bool) -> None:
        inputs = first_slot(model)
        self.look_back = inputs.series_length  # type: ignore[attr-defined]
        self.horizon = model.head.n_outputs
        self.n_places = getattr(inputs, "length", self.look_back)
        self.instance_norm = instance_norm
        self.scales_itself = brings_to_level(inputs)

    def loss(self, model: nn.Module, past: Tensor, future: Tensor) -> Sums:
        """Of every value of the future."""
        learner: Any = model
        given, mean, scale = self._read(learner, past)
        hidden, mask = learner.hidden(given)
        sums: Sums = learner.head.loss(hidden, (future - mean) / scale, mask=mask, scale=scale.squeeze(1))
        return sums

    def hidden(self, model: nn.Module, past: Tensor) -> Tensor:
        learner: Any = model
        found: Tensor = learner.hidden(self._read(learner, past)[0])[0]
        return found

    def forecast(self, model: nn.Module, past: Tensor) -> Tensor:
        given, mean, scale = self._read(model, past)
        found: Tensor = model(given).float()
        return found if self.scales_itself else found * scale + mean

    def _read(self, learner: Any, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The past [N, T] as the model reads it; mean and scale [N, 1] of the units in which its head forecasts."""
        if self.scales_itself:
            return past, *learner.inputs.level(past)
        mean, scale = level_of(past, "standard" if self.instance_norm else "none", EPS)
        return (past - mean) / scale, mean, scale


class StepByStep(Forecaster):
    """Every patch gives what follows it; a forecast is written, and read again, until the horizon is reached.

    Learnt at all patches of past and future at once (teacher forcing). A patch, and what the model says follows it, are
    standardised by the mean and deviation of all values up to the patch's end: by nothing later than what the model has
    read, in training as in writing, where the values that it wrote count like those it was given.
    Source: Das et al. 2024 (TimesFM), section 4, for patches in and patches out, of which a step may write several;
        Cohen et al. 2025 (Toto, 2505.14766) for scaling each patch by the statistics up to it.
    Differs: TimesFM scales the whole window by its first patch, which here would be one day; by the whole look-back, as
        AtOnce does, the errors of the steps within it would be of levels that only later values tell.
    """

    def __init__(self, model: Any, *, look_back: int, horizon: int, instance_norm: bool) -> None:
        self.look_back = look_back
        self.horizon = horizon
        self.patch_len: int = first_slot(model).values_per_place  # type: ignore[attr-defined]
        self.n_written: int = model.head.n_outputs
        self.n_places = (look_back + horizon - self.n_written) // self.patch_len
        self.instance_norm = instance_norm

    @staticmethod
    def check(model: Any, *, look_back: int, horizon: int) -> None:
        """Raises: ValueError for lengths that are not made of a model's steps, or that its positions do not reach."""
        n_in, n_out = first_slot(model).values_per_place, model.head.n_outputs  # type: ignore[attr-defined]
        if look_back % n_in:
            raise ValueError(f"look_back ({look_back}) must be a multiple of patch_len ({n_in})")
        if n_out % n_in:
            raise ValueError(
                f"n_outputs of the head ({n_out}) must be a multiple of patch_len ({n_in}), for it is read again"
            )
        if n_out > horizon:
            raise ValueError(f"n_outputs of the head ({n_out}) must be at most the horizon ({horizon})")
        needed = StepByStep(model, look_back=look_back, horizon=horizon, instance_norm=True).most_places
        for path, part in inner(model, "model"):
            if (max_len := getattr(part, "max_len", None) or needed) < needed:
                raise ValueError(
                    f"{path}: max_len ({max_len}) must be at least {needed}, the steps of look_back and horizon"
                )

    @property
    def most_places(self) -> int:
        """The steps that are read, in training or before the last one is written."""
        n_steps = -(-self.horizon // self.n_written)
        read = self.look_back + (n_steps - 1) * self.n_written
        return max(self.n_places, read // self.patch_len)

    def loss(self, model: nn.Module, past: Tensor, future: Tensor) -> Sums:
        """Of every value that follows a patch, as far as the future is known."""
        series = torch.cat([past, future], 1)
        P, n = self.patch_len, self.n_places
        followers = series[:, P:].unfold(1, self.n_written, P)[:, :n]  # [N, n, n_written]
        inputs, mean, scale = self._read(series[:, : n * P])
        learner: Any = model
        hidden, _ = learner.hidden(inputs)  # [N, n, D]
        values = (followers - mean[..., None]) / scale[..., None]
        sums: Sums = learner.head.loss(hidden.flatten(0, 1), values.flatten(0, 1), scale=scale.flatten())
        return sums

    def hidden(self, model: nn.Module, past: Tensor) -> Tensor:
        found: Tensor = cast(Any, model).hidden(self._read(past)[0])[0]
        return found

    def forecast(self, model: nn.Module, past: Tensor) -> Tensor:
        writer: Any = model
        cache, series = writer.new_cache(), past
        while series.shape[1] < self.look_back + self.horizon:
            inputs, mean, scale = self._read(series)
            hidden = writer.decode(inputs[:, cache.length * self.patch_len :], cache=cache)
            step = writer.head(hidden[:, -1:])[:, 0].float() * scale[:, -1:] + mean[:, -1:]  # [N, n_written]
            series = torch.cat([series, step], 1)
        return series[:, self.look_back : self.look_back + self.horizon]

    def _read(self, series: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Series [N, T], each patch standardised; mean and deviation [N, T / patch_len] by which it is."""
        patches = series.unflatten(1, (-1, self.patch_len))
        if not self.instance_norm:
            zeros = patches.new_zeros(patches.shape[:2])
            return series, zeros, zeros + 1
        first = series[:, :1]  # sums of what is about 0 are exact enough
        away = series - first
        n = torch.arange(self.patch_len, series.shape[1] + 1, self.patch_len, device=series.device)
        mean, square = (
            sums.cumsum(1)[:, self.patch_len - 1 :: self.patch_len] / n for sums in (away, away**2)
        )
        scale = ((square - mean**2).clamp(min=0) + EPS).sqrt()
        mean = mean + first
        return ((patches - mean[..., None]) / scale[..., None]).flatten(1), mean, scale


def first_slot(model: Any) -> Spec:
    """The embedding of what a model's spec reads."""
    first: Spec = next(iter(model.slots.values()))
    return first
