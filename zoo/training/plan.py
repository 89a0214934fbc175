"""How long a step takes, measured before the first one, and what follows: an estimate, and where a schedule ends."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
from torch import nn

from zoo.amounts import amount
from zoo.tasks.prepared import Prepared
from zoo.tasks.task import Batch
from zoo.training.randomness import untouched
from zoo.training.settling import has_open_end
from zoo.training.spec import TrainingSpec

MOST_BATCHES = 8
MOST_SECONDS = 5.0
"""Time after which measuring begins no further batch."""
SHARE_OF_STEPS = 0.9
"""Share of max_minutes that is planned for steps; the rest is for validations and checkpoints."""
_OVERHEAD = 1.1  # the optimizer, records, and the loop around them


def seconds_a_batch(model: nn.Module, task: Prepared, batches: Iterable[Batch]) -> float:
    """Time of a forward and a backward pass: the lower quartile of a few batches, the first left out if possible.

    What else the machine does makes some of them slower, never faster.

    Nothing is learnt and nothing changes: gradients go nowhere, buffers and random numbers are put back.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    times: list[float] = []
    started = time.perf_counter()
    with untouched():
        for batch in batches:
            before = time.perf_counter()
            loss = task.loss(model, batch.to(device))
            gradients = torch.autograd.grad(loss.loss, parameters, allow_unused=True)
            # Waits for the device.
            next(gradient for gradient in gradients if gradient is not None).flatten()[:1].tolist()
            times.append(time.perf_counter() - before)
            if time.perf_counter() - started > MOST_SECONDS:
                break
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    warm = sorted(times[1:] or times)
    return warm[len(warm) // 4]


class Plan:
    """What a training's steps take, and how many of them its time holds."""

    def __init__(self, spec: TrainingSpec, batch_seconds: float) -> None:
        self.spec = spec
        self.step_seconds = _OVERHEAD * batch_seconds * spec.accumulate
        self.n_in_time: int | None = None
        """Steps that max_minutes hold; None without a limit."""
        if spec.max_minutes is not None:
            self.n_in_time = max(1, int(SHARE_OF_STEPS * 60 * spec.max_minutes / self.step_seconds))

    @property
    def n_steps(self) -> int:
        """Steps that will be taken: those the spec wants, if there is time for them."""
        wanted = self.spec.last_step
        return wanted if self.n_in_time is None else min(wanted, self.n_in_time)

    def text(self) -> str:
        """The estimate, in a sentence."""
        wanted, seconds = self.spec.last_step, self.step_seconds
        text = f"about {duration(seconds)} a step, {duration(wanted * seconds)} for {amount(wanted, 'step')}"
        if self.n_steps == wanted:
            return text
        consequence = "the schedule ends there" if has_open_end(self.spec) else "training ends about there"
        return f"{text}; max_minutes {self.spec.max_minutes:g} holds {self.n_steps:,}: {consequence}"

    def warning(self) -> str | None:
        """What cannot work: a warm-up that the training does not live to see the end of."""
        warmup = getattr(self.spec.schedule, "warmup_steps", 0)
        if warmup < self.n_steps:
            return None
        return (
            f"warning: training.schedule.warmup_steps ({warmup:,}) is not less than the {amount(self.n_steps, 'step')} "
            "there will be: the learning rate will not reach its peak, or never fall from it"
        )


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them: "0.18 s", "4.5 minutes", "31 hours"."""
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
