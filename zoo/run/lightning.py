"""A run's Lightning module and data module, for anybody's own Trainer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import SpecError, dump
from zoo.errors import DataError, RunError
from zoo.progress import Bar
from zoo.run.folder import new_folder, require, run_in
from zoo.run.spec import RunSpec, load
from zoo.run.telling import how_to_give
from zoo.run.training import remove_attempt
from zoo.storage.files import SPEC_FILE
from zoo.storage.ownership import owned
from zoo.training.ranks import is_first_process, prepared_first
from zoo.training.settling import settle_end

if TYPE_CHECKING:
    from zoo.training.data import TrainingData
    from zoo.training.module import TrainingModule


def lightning(
    run: RunSpec | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    name: str | None = None,
    progress: bool = True,
) -> tuple[TrainingModule, TrainingData]:
    """The run's LightningModule, with new weights of its seed, and its LightningDataModule.

    The data is checked, and tokenizers are learnt from it, in a folder as that of `train`: `out`, or a new one. A
    folder that `lightning` has prepared for the same spec is taken as it is, so that a script can be run again, as
    Lightning itself does for further devices.

    Both go by the spec's model, task, optimizer, schedule, seed, clip_norm, out_of_memory, max_skipped_steps, compile,
    sizes of batches and data_workers. Devices, strategy, precision, accumulation, steps, validations, checkpoints,
    loggers, callbacks and averages of the weights (Lightning's EMAWeightAveraging) are the Trainer's,
    whatever the spec says. A schedule that ends, but does not say where, ends at training.max_steps: give the Trainer
    as many. An epoch is a pass over the data; with more than one batch to a step, Lightning steps at its end with what
    there is, where `train` goes on into the next.

    Raises: as `train` for what is wrong with spec, data or folder.
    """
    if not isinstance(run, RunSpec):
        name = name or (Path(run).stem if isinstance(run, str | Path) else None)
        run = load(run)
    require(run, "task", "training", "generation", why="train it", how=how_to_give)
    assert run.training is not None
    run = settle_end(run, run.training.last_step)
    is_new = out is None or not Path(out).exists()
    folder = new_folder(run, name or "run") if out is None else Path(out)
    try:
        return _made(run, folder, progress=progress)
    except (SpecError, DataError):
        if is_new and is_first_process():
            remove_attempt(folder)
        raise


def _made(run: RunSpec, folder: Path, *, progress: bool) -> tuple[TrainingModule, TrainingData]:
    from zoo.training.data import TrainingData
    from zoo.training.fit import prepared
    from zoo.training.folder import enter, refuse_used_folder, write_spec
    from zoo.training.making import make_module
    from zoo.training.plugins import record_plugins
    from zoo.training.progress import Progress
    from zoo.training.randomness import untouched

    is_first = is_first_process()
    if is_first:
        enter(folder, is_new=True)
    with (
        untouched(),
        owned(folder) if is_first else nullcontext(),
        prepared_first(folder, is_first=is_first),
    ):
        is_known = (folder / SPEC_FILE).is_file()
        if is_known and dump(run_in(folder)) != dump(run):
            raise RunError(f"{folder}: holds another run, of another spec; choose another folder")
        if not is_known:
            refuse_used_folder(folder)
            write_spec(folder, run)  # type: ignore[arg-type]
            record_plugins(folder, dump(run))
        with Bar(is_shown=progress and is_first) as bar:
            # Coders that lie there already are read, not learnt again; further processes must find them.
            task = prepared(run, folder, is_resumed=not is_first, report=bar)  # type: ignore[arg-type]
        module = make_module(run, task, folder, progress=Progress(), logs=True)  # type: ignore[arg-type]
    return module, TrainingData(task, module.spec)
