"""From a model's spec to the model."""

from __future__ import annotations

import torch
from torch import nn

from registry import Spec
from zoo.kinds import MODEL
from zoo.seeding import by_name, seed
from zoo.sizes import on_meta


def build(spec: Spec, *, device: str | torch.device = "cpu") -> nn.Module:
    """The model of a spec, its weights set as the spec's `initialization` says from torch's global generator.

    spec is a model's, or a run's, whose model is built.
    On device "meta" nothing is allocated and nothing initialised.
    """
    spec = getattr(spec, "model", spec)
    if not isinstance(spec, Spec):
        raise TypeError(
            f"build takes a spec, such as zoo.load('quickstart').model, not {type(spec).__name__}"
        )
    device = torch.device(device)
    if device.type == "meta":
        return on_meta(lambda: MODEL.build(spec))
    with device:
        start = int(torch.randint(2**62, (), device="cpu"))
        model = MODEL.build(spec)
        # From where the generator stood before the parts drew anything, for how much they draw is their own matter.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            seed(start)
            for part in by_name(model):
                if hasattr(type(part), "draw_first_values"):
                    part.draw_first_values()  # type: ignore[operator]
            model.initialize(model)
    return model


def n_parameters(model: nn.Module) -> int:
    """Trainable and frozen values, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
