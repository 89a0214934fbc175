"""Checkpoints: folders `step-N` written once, whole or not at all, every byte under a checksum.

    checkpoints/
        step-400/model.safetensors   the weights
                 training.pt         optimizer, random numbers, position in the data, counters
                 manifest.json       size and SHA-256 of both, and of itself; written last
        step-400-average-5/          the mean of five checkpoints' weights; no training.pt
        index.json                   which step is the last, which the best, which average belongs to the last

A folder appears by a rename, so `step-N` is either complete or absent; index.json is replaced by a
rename too and only says what the folders cannot: losing it loses no training.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import RunError
from zoo.storage import files
from zoo.storage.hashing import sha256_of_file, sha256_of_json
from zoo.storage.records import read_json, write_record
from zoo.storage.weights import read_weights, write_weights

FORMAT = 1
"""Version of the layout; a higher number in a manifest is refused."""

CHECKPOINTS_FOLDER = "checkpoints"
"""Of a run folder."""

WEIGHTS_FILE = "model.safetensors"
STATE_FILE = "training.pt"
MANIFEST_FILE = "manifest.json"
INDEX_FILE = "index.json"
FOLDER_NAME = re.compile(r"step-(?P<step>\d+)(?P<average>-average-\d+)?")


class DamagedError(RunError):
    """A checkpoint whose bytes are not the ones written."""


class Checkpoints:
    """The checkpoints of one run, in the folder given.

    Raises: RunError, from every method that writes, when the disk refuses; earlier checkpoints stay intact.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step}"

    def steps(self) -> list[int]:
        """Steps with a committed checkpoint, ascending; not verified."""
        names = (FOLDER_NAME.fullmatch(path.name) for path in self.folder.glob("step-*"))
        return sorted(int(name["step"]) for name in names if name and not name["average"])

    def regular_steps(self) -> list[int]:
        """The last step, and those before it whose checkpoint was due by the step count, ascending.

        What an interruption or a best score left in between does not count, so that an interrupted run
        averages the same checkpoints as one left alone.
        """
        steps = self.steps()
        return [s for s in steps[:-1] if self.verify_manifest(self.path(s))["is_regular"]] + steps[-1:]

    def open(self) -> None:
        """Makes the folder if need be and clears what killed writers left. For the run's owner only."""
        try:
            self.folder.mkdir(exist_ok=True)
            files.sweep(self.folder)
        except OSError as error:
            raise RunError(f"{self.folder}: cannot write checkpoints here: {error.strerror}") from error

    # Writing

    def save(
        self, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Any], *, is_regular: bool
    ) -> None:
        """Commits `step-N`. One that exists stays: the same step of the same run has the same content.

        is_regular says that it was due by the step count, not made for an interruption or for the best score.
        """
        if not self.path(step).exists():
            self._write(self.path(step), weights, state, {"step": step, "is_regular": is_regular})

    def save_average(self, steps: Sequence[int], weights: Mapping[str, Tensor]) -> Path:
        """Commits `step-N-average-n`, the mean weights of n steps up to N; one that exists stays."""
        path = self.folder / f"step-{steps[-1]}-average-{len(steps)}"
        if not path.exists():
            self._write(path, weights, None, {"step": steps[-1], "averaged_steps": list(steps)})
        return path

    def _write(
        self,
        path: Path,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any] | None,
        about: Mapping[str, Any],
    ) -> None:
        try:
            with files.new_folder(path) as temporary:
                write_weights(temporary / WEIGHTS_FILE, weights)
                if state is not None:
                    with (temporary / STATE_FILE).open("wb") as file:  # streamed: no second copy in memory
                        torch.save(dict(state), file)
                sums = {
                    file.name: {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
                    for file in sorted(temporary.iterdir())
                }
                manifest = {"format": FORMAT, **about, "files": sums}
                (temporary / MANIFEST_FILE).write_text(_render(manifest), encoding="utf-8")
        # torch.save reports a full disk as a RuntimeError after the OSError.
        except (OSError, RuntimeError) as error:
            refusal = error if isinstance(error, OSError) else error.__context__
            reason = (isinstance(refusal, OSError) and refusal.strerror) or str(error)
            raise RunError(f"{path}: cannot be written: {reason}; earlier checkpoints are intact") from error

    def keep(self, steps: Collection[int]) -> None:
        """Deletes every checkpoint, and every average, whose step is not among these."""
        for path in self.folder.glob("step-*"):
            name = FOLDER_NAME.fullmatch(path.name)
            if name and int(name["step"]) not in steps:
                try:
                    files.remove_folder(path)
                except OSError as error:
                    raise RunError(f"{path}: cannot delete an old checkpoint: {error.strerror}") from error

    def set_aside(self, step: int) -> Path:
        """Takes a damaged checkpoint out of the way: `step-N` becomes `step-N.damaged`."""
        path = self.path(step).with_suffix(".damaged")
        try:
            shutil.rmtree(path, ignore_errors=True)
            self.path(step).rename(path)
        except OSError as error:
            raise RunError(f"{self.path(step)}: cannot set it aside: {error.strerror}") from error
        return path

    # The index

    def index(self) -> dict[str, Path]:
        """The folders index.json points to, of `last`, `best` and `average`; {} when it is absent."""
        file = self.folder / INDEX_FILE
        if not file.exists():
            return {}
        index = read_json(file)
        if not all(isinstance(name, str) and FOLDER_NAME.fullmatch(name) for name in index.values()):
            raise RunError(f"{file}: it should map last, best and average to names of folders beside it")
        return {key: self.folder / name for key, name in index.items()}

    def write_index(self, index: Mapping[str, Path]) -> None:
        """Replaces index.json in one move."""
        write_record(self.folder / INDEX_FILE, {key: path.name for key, path in index.items()})

    # Reading

    def verify(self, path: Path) -> dict[str, Any]:
        """Compares every byte of a checkpoint's folder with its manifest, which it returns.

        Raises: DamagedError when one differs; RunError when a newer version of this program wrote it.
        """
        manifest = self.verify_manifest(path)
        for name, expected in manifest["files"].items():
            file = path / name
            try:
                found = {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
            except OSError as error:
                raise DamagedError(f"{file}: cannot be read: {error.strerror}") from error
            if found != expected:
                raise DamagedError(
                    f"{file}: its content is not what was written ({_change(found, expected)}); take another "
                    f"checkpoint (there are: {self._known()})"
                )
        return manifest

    def verify_manifest(self, path: Path) -> dict[str, Any]:
        """Reads a checkpoint's manifest and holds it against its own checksum and the folder's name.

        Raises: as `verify`.
        """
        file = path / MANIFEST_FILE
        try:
            text = file.read_text(encoding="utf-8")
            manifest = json.loads(text)
            del manifest["checksum"]
        # A changed byte can make this any JSON value, or none.
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{file}: cannot be read: {error}") from error
        if _render(manifest) != text:
            raise DamagedError(f"{file}: its checksum does not match")
        if manifest["format"] > FORMAT:
            raise RunError(
                f"{path}: written in format {manifest['format']}; this version reads up to {FORMAT}"
            )
        name = FOLDER_NAME.fullmatch(path.name)
        if name is None or int(name["step"]) != manifest["step"]:
            raise DamagedError(f"{path}: holds step {manifest['step']}")
        return manifest

    def newest_intact(self) -> tuple[int | None, list[tuple[DamagedError, int]]]:
        """The newest step that verifies (None: no checkpoint at all), and newer ones with their damage.

        Raises: RunError when there are checkpoints but all are damaged.
        """
        damage: list[tuple[DamagedError, int]] = []
        for step in reversed(self.steps()):
            try:
                self.verify(self.path(step))
            except DamagedError as error:
                damage.append((error, step))
            else:
                return step, damage
        if damage:
            raise RunError(
                "no checkpoint is intact (" + "; ".join(str(error) for error, _ in damage) + "); "
                f"remove {self.folder} to train from the start"
            )
        return None, []

    def weights(self, path: Path) -> dict[str, Tensor]:
        """A verified checkpoint's state dict, on the CPU, tied names holding one tensor.

        Raises: RunError when it is missing, DamagedError when its bytes changed.
        """
        if not path.is_dir():
            raise RunError(f"{path}: no such checkpoint (there are: {self._known()})")
        self.verify(path)
        return read_weights(path / WEIGHTS_FILE)

    def state(self, step: int) -> dict[str, Any]:
        """The content of a step's training.pt, on the CPU. Call `verify` before."""
        state: dict[str, Any] = torch.load(
            self.path(step) / STATE_FILE, map_location="cpu", weights_only=True
        )
        return state

    def _known(self) -> str:
        names = sorted(path.name for path in self.folder.glob("step-*"))
        return ", ".join(names) or "none"


def _change(found: Mapping[str, Any], written: Mapping[str, Any]) -> str:
    """How a file differs from what was written into it."""
    n, m = found["bytes"], written["bytes"]
    return f"{n:,} of {m:,} bytes" if n < m else f"{n:,} bytes instead of {m:,}" if n > m else "other bytes"


def _render(manifest: Mapping[str, Any]) -> str:
    """A manifest's exact text, its own checksum included: one way to write it, so any changed byte shows."""
    return json.dumps({**manifest, "checksum": sha256_of_json(manifest)}, indent=1, sort_keys=True) + "\n"
