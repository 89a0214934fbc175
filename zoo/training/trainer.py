"""The Trainer of a run: Lightning's, told to leave to us what we do ourselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy

from zoo.errors import RunError
from zoo.training.data import TrainingData
from zoo.training.memory import is_out_of_memory
from zoo.training.module import TrainingModule
from zoo.training.spec import TrainingSpec

PRECISIONS = {"fp32": "32-true", "bf16-mixed": "bf16-mixed"}  # our names to Lightning's


def make_trainer(
    spec: TrainingSpec,
    folder: Path,
    *,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    is_done: bool,
) -> Trainer:
    """For one long epoch, which the loader ends; is_done: with no step in it."""
    return Trainer(
        accelerator=spec.accelerator,
        devices=spec.devices,
        num_nodes=spec.num_nodes,
        strategy=_strategy(spec),
        precision=cast(Any, PRECISIONS[spec.precision]),
        accumulate_grad_batches=spec.accumulate,
        # One long epoch: the order of batches knows about real ones. The loader ends at max_steps.
        max_epochs=1,
        limit_train_batches=0.0 if is_done else 1.0,
        limit_val_batches=0.0,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        log_every_n_steps=spec.log_every,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # the order of batches deals them out itself
        deterministic=spec.deterministic or None,
        default_root_dir=folder,
        # Under SLURM Lightning would look for checkpoints of its own and load them.
        plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
    )


def _strategy(spec: TrainingSpec) -> str | Strategy:
    if spec.strategy == "fsdp":
        return ModelParallelStrategy(data_parallel_size=spec.n_ranks, tensor_parallel_size=1)
    return "ddp" if spec.n_ranks > 1 or spec.strategy == "ddp" else "auto"


def run_trainer(trainer: Trainer, module: TrainingModule, data: TrainingData) -> None:
    """Trains. Raises: KeyboardInterrupt as itself; RunError where the memory does not do between two batches."""
    try:
        trainer.fit(module, datamodule=data)
    except SystemExit as error:
        # Lightning makes exit code 1 of a KeyboardInterrupt.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            "out of memory between two batches, where weights, gradients, the optimizer's state and a validation "
            f"need it ({str(error).splitlines()[0]}). A smaller model or training.tokens_per_batch helps; the run "
            "is resumable"
        ) from error
