"""TrainingSpec: how long, on what and with what a model is trained. Read without lightning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field

from registry import Spec, parse
from zoo.kinds import CALLBACK, LOGGER, OPTIMIZER, SCHEDULE, ScheduleSpec


class TrainingSpec(Spec):
    tokens_per_batch: int = Field(4096, ge=1, le=10**8)
    """Most tokens on each side of a batch, padding included; the paper has 25,000."""
    rows_per_batch: int | None = Field(None, ge=1, le=10**7)
    """Most rows of a batch besides; null for no limit but that of tokens."""
    max_steps: int = Field(100_000, ge=1, le=10**9)
    """Optimizer steps, after which training ends; or before, where the schedule's rate has fallen to 0 for good."""
    max_minutes: float | None = Field(None, gt=0, le=10**7)
    """Minutes of training, validation and checkpoints included, after which it ends; null for no limit.
    Counted over all resumes; preparing the data does not count. A schedule that ends, but does not say where, ends
    after as many steps as the time holds, measured before the first one."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Decides initial weights, order of the data and dropout."""
    init_from: str | None = Field(None, min_length=1)
    """Folder of a run, or of an imported checkpoint, that a new run's weights are taken from, by their names and as far
    as shapes agree; its tokenizer goes with them unless the spec says another. null: all weights are new."""
    freeze: tuple[str, ...] = ()
    """Weights that are not trained, by name, with * and ?, such as `encoder.layers.0.*`."""
    precision: Literal["auto", "fp32", "bf16-mixed"] = "auto"
    """fp32 throughout, or matrix products in bfloat16 with fp32 weights, sums and loss. auto: what is faster on the
    device at hand, settled when a run starts and kept for all of it."""
    tf32: bool = False
    """Whether a CUDA device may round the inputs of fp32 matrix products to TensorFloat-32."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; auto takes a GPU where there is one."""
    devices: int = Field(1, ge=1, le=4096)
    """Processes of a machine, each with a device and a share of every step's batches."""
    num_nodes: int = Field(1, ge=1, le=65536)
    """Machines, of one file system, on each of which the same command is run, by torchrun, SLURM or by hand with
    MASTER_ADDR, MASTER_PORT and NODE_RANK."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How devices work together: ddp gives each the whole model (DistributedDataParallel), fsdp a share of each layer's
    weights, gradients and optimizer state (FSDP2), gathered layer by layer, for models that no device holds alone.
    auto: ddp where there are several."""
    compile: bool = False
    """Whether the stacks' layers go through torch.compile."""
    activation_checkpointing: bool = False
    """Whether a layer keeps nothing for the backward pass but its input, and is computed again in it: less memory for
    about a third more time, and the same gradient."""
    deterministic: bool = False
    """Whether torch may use only algorithms that give the same bits every time. On a CPU they all do."""
    data_workers: int = Field(0, ge=0, le=256)
    """Extra processes that prepare batches; 0 prepares them between the steps."""
    clip_norm: float | None = Field(None, gt=0, le=10**9)
    """Longest gradient of a step; a longer one is scaled down to it. null for no limit."""
    accumulate: int = Field(1, ge=1, le=10**6)
    """Batches of each device whose gradients make one step."""
    out_of_memory: Literal["error", "split"] = "error"
    """What happens to a batch that the memory does not hold: an error that names it, or its halves one after the
    other, whose gradients add up to the same; on one device."""
    max_skipped_steps: int = Field(10, ge=1, le=10**6)
    """Steps in a row with a gradient that is not finite, each skipped, after which training has diverged."""
    optimizer: Annotated[Spec, OPTIMIZER] = Field(cast(Any, "adam"))
    """What turns gradients into new weights."""
    schedule: Annotated[Spec, SCHEDULE] = Field(cast(Any, "noam"))
    """The learning rate of each step."""
    validate_every: int = Field(1000, ge=1, le=10**9)
    """Steps between two validations; there is one at the end in any case."""
    best_by: Literal["score", "loss"] = "score"
    """What makes a checkpoint the best: the task's score, such as BLEU, or where it has none the loss; or the loss on
    the validation set in any case. Of equal scores the one of lower loss is better, then the later."""
    checkpoint_every: int = Field(1000, ge=1, le=10**9)
    """Steps between two checkpoints; there is one at the end, and at each new best, in any case."""
    keep_checkpoints: int | None = Field(None, ge=1, le=10**6)
    """Regular checkpoints kept, the newest ones, besides the best; null: as many as average_last."""
    average_last: int = Field(1, ge=1, le=10**6)
    """Checkpoints whose mean weights are the result; 1 for no averaging. The paper: 5, for big 20."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Short for the callback weight_ema of this decay, such as 0.999: a moving average of the weights, which then is
    what is validated, kept and used. null for none."""
    log_every: int = Field(50, ge=1, le=10**9)
    """Steps between two records of the training loss."""
    loggers: tuple[Annotated[Spec, LOGGER], ...] = ()
    """Where these records go besides the run's own, which is always kept."""
    callbacks: tuple[Annotated[Spec, CALLBACK], ...] = ()
    """What else happens in training, such as an early end."""

    def check(self) -> None:
        if self.keep_checkpoints is not None and self.average_last > self.keep_checkpoints:
            raise ValueError(
                f"average_last ({self.average_last}) must be at most "
                f"keep_checkpoints ({self.keep_checkpoints})"
            )
        averages = [f"ema ({self.ema})"] if self.ema is not None else []
        averages += [f"callback {each.type}" for each in self.callbacks if averages_weights(each)]
        averages += [f"average_last ({self.average_last})"] if self.average_last > 1 else []
        if len(averages) > 1:
            raise ValueError(f"{averages[0]} and {averages[1]} both average the weights; take one of them")
        if self.compile and self.activation_checkpointing:
            raise ValueError("compile and activation_checkpointing do not go together yet; take one of them")
        watching = [each.type for each in self.callbacks if getattr(each, "needs_logger", False)]
        if watching and not self.loggers:
            raise ValueError(f"{watching[0]} has nowhere to write to; give training.loggers, such as [csv]")
        if self.out_of_memory == "split" and self.n_ranks > 1:
            raise ValueError(
                "out_of_memory 'split' needs devices 1 and num_nodes 1: other devices would wait for this one's halves"
            )
        if self.strategy == "fsdp" and not getattr(self.optimizer, "is_by_number", True):
            raise ValueError(
                f"optimizer {self.optimizer.type} works on whole matrices, of which strategy 'fsdp' gives a device a "
                "part; take adam, adamw, lion or sgd, or strategy ddp"
            )
        if self.strategy == "fsdp" and self.n_ranks == 1:
            raise ValueError(
                "strategy 'fsdp' shares a model among devices: it needs devices or num_nodes above 1"
            )

    @property
    def all_callbacks(self) -> tuple[Spec, ...]:
        """With the one that `ema` is short for."""
        if self.ema is None:
            return self.callbacks
        return (*self.callbacks, parse(CALLBACK.entry("weight_ema").spec, {"decay": self.ema}))

    @property
    def n_ranks(self) -> int:
        """Processes of all machines."""
        return self.devices * self.num_nodes

    @property
    def last_step(self) -> int:
        """The step after which training ends, time permitting."""
        end = self.schedule.last_step if isinstance(self.schedule, ScheduleSpec) else None
        return self.max_steps if end is None else min(self.max_steps, end)


def averages_weights(callback: Spec) -> bool:
    """Whether the averages of this callback are the run's result."""
    return bool(getattr(callback, "averages_weights", False))
