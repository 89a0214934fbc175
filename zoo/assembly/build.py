"""From a model's spec to the model."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from registry import Spec
from zoo.kinds import MODEL


def build(spec: Spec, *, device: str | torch.device = "cpu") -> nn.Module:
    """The model of a spec, its weights set as the spec's `initialization` says from torch's global generator.

    spec is a model's, or a run's, whose model is built.
    On device "meta" nothing is allocated and nothing initialised: for counting parameters and cost.
    """
    spec = getattr(spec, "model", spec)
    if not isinstance(spec, Spec):
        raise TypeError(
            f"build takes a spec, such as zoo.load('quickstart').model, not {type(spec).__name__}"
        )
    is_meta = torch.device(device).type == "meta"
    with torch.device(device), _Undrawn() if is_meta else nullcontext():
        model = MODEL.build(spec)
        if not is_meta:
            model.initialize(model)
    return model


def n_parameters(model: nn.Module) -> int:
    """Trainable and frozen values, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


class _Undrawn(TorchFunctionMode):
    """Leaves random numbers undrawn: on the meta device torch would import its compiler for them, in 2 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "trunc_normal_"):
            return args[0] if args else keywords["tensor"]
        return func(*args, **keywords)
