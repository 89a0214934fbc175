"""Which component of somebody's an error comes from, read from the error's own traceback: nothing is watched before."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from registry import Entry, Kind, Spec, made_kinds, walk

_KEEPS_SHAPE = ("attention", "ffn", "layout", "mixer", "norm")
"""The kinds whose output has the shape of their input."""

Found = tuple[Kind, Entry, str, str]
"""A component, `file:line` in it, and what it did."""


def blamed(error: BaseException) -> str:
    """The part, its file and line, where it stands in the spec, and the error; "" where no component of others has to
    do with it.

    A module that has raised nothing may have given a wrong shape, which another meets: what is found so is found by
    computing the loss of the batch again.
    """
    foreign = _foreign()
    if not foreign:
        return ""
    frames = list(traceback.walk_tb(error.__traceback__))
    found = _raised(frames, foreign, error) or _of_wrong_shape(frames, foreign, error)
    if found is None:
        return ""
    kind, entry, place, what = found
    paths = _paths(frames, kind, entry)
    at = f", at {' and '.join(paths)}" if paths else ""
    return f"{kind.name}/{entry.name} ({place}){at}: {what}"


def _foreign() -> list[tuple[Kind, Entry]]:
    """The components that are none of ours."""
    ours = Path(__file__).parents[1]
    return [
        (kind, entry)
        for kind in made_kinds()
        for entry in kind.registered()
        if not Path(_file(entry)).is_relative_to(ours)
    ]


def _file(entry: Entry) -> str:
    return entry.where.rpartition(":")[0]


def _raised(
    frames: Sequence[tuple[FrameType, int]], foreign: Sequence[tuple[Kind, Entry]], error: BaseException
) -> Found | None:
    """The component in whose file the error arose, or passed last."""
    for frame, line in reversed(frames):
        here = [each for each in foreign if _file(each[1]) == frame.f_code.co_filename]
        if here:
            owner = frame.f_locals.get("self")
            mine = [
                each
                for each in here
                if isinstance(each[1].builder, type) and isinstance(owner, each[1].builder)
            ]
            kind, entry = (mine or here)[0]
            return kind, entry, f"{_file(entry)}:{line}", f"{type(error).__name__}: {error}"
    return None


def _of_wrong_shape(
    frames: Sequence[tuple[FrameType, int]], foreign: Sequence[tuple[Kind, Entry]], error: BaseException
) -> Found | None:
    """The component whose output has not the shape that its kind promises, in a loss that has failed."""
    known: dict[Any, tuple[Kind, Entry]] = {
        entry.builder: (kind, entry) for kind, entry in foreign if kind.name in _KEEPS_SHAPE
    }
    for frame, _ in frames:
        given = frame.f_locals
        model, task = given.get("model"), given.get("self")
        if frame.f_code.co_name != "loss" or not hasattr(model, "named_modules") or "batch" not in given:
            continue
        wrong: list[Found] = []

        def look(module: Any, inputs: Any, output: Any, wrong: list[Found] = wrong) -> None:
            kind, entry = known[type(module)]
            shape, wanted = getattr(output, "shape", None), inputs[0].shape
            if shape != wanted:
                place = f"{_file(entry)}:{type(module).forward.__code__.co_firstlineno}"
                gave = f"a {type(output).__name__}" if shape is None else str(list(shape))
                what = f"its output is {gave} and must have the shape of its input, {list(wanted)}"
                wrong.append((kind, entry, place, f"{what} ({type(error).__name__}: {error})"))

        hooks = [
            each.register_forward_hook(look)
            for _, each in model.named_modules()  # type: ignore[union-attr]
            if type(each) in known
        ]
        try:
            task.loss(model, given["batch"], is_training=False)  # type: ignore[union-attr]
        except Exception:  # the same one again
            pass
        finally:
            for hook in hooks:
                hook.remove()
        if wrong:
            return wrong[0]
    return None


def _paths(frames: Sequence[tuple[FrameType, int]], kind: Kind, entry: Entry) -> list[str]:
    """Where such a component stands in the run's spec, as far as the frames know that."""
    run = next((spec for spec in _specs(frames) if "model" in type(spec).model_fields), None)
    if run is None:
        return []
    places = [place for place in walk(run) if place.kind is kind and not place.is_inherited]
    return list(dict.fromkeys(place.path for place in places if place.spec.type == entry.name))


def _specs(frames: Sequence[tuple[FrameType, int]]) -> Iterator[Spec]:
    for frame, _ in frames:
        for value in frame.f_locals.values():
            if isinstance(value, Spec):
                yield value
