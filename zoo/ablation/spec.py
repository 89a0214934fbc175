"""An ablation's file: a base, what varies, what is held equal, and how often each is trained."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal
from unicodedata import category

from pydantic import Field, ValidationError, field_validator

from presets import PresetError
from presets.yaml12 import MAX_BYTES, read_text
from registry import Problem, Spec, SpecError, parse, suggest
from registry.problems import show

Match = Literal["none", "parameters", "flops", "steps", "tokens", "minutes"]
BASE = "base"
"""The name of the variant that all others are compared with."""

SEED = "training.seed"
"""The key that each of the seeds sets."""
_LONGEST_NAME = 120
_MOST = 10_000
"""Variants of an ablation, and settings that are tried for each."""
_VARYING = ("variants", "factors", "grid")


class AblationSpec(Spec):
    base: str = Field(min_length=1)
    """What is varied: a preset's name, a file beside this one, or a run folder."""
    scale: str | None = None
    """A scale of the base, such as tiny."""
    overrides: Mapping[str, Any] = {}
    """For all variants, the base too: dotted keys and their values."""
    variants: Mapping[str, Mapping[str, Any]] = {}
    """Named variants, each with its dotted keys and their values."""
    factors: Mapping[str, tuple[Any, ...]] = {}
    """Dotted keys and the values that each takes while all others stay: a variant each."""
    grid: Mapping[str, tuple[Any, ...]] = {}
    """Dotted keys and the values that they take together: a variant for each combination."""
    match: Match = "none"
    """What is made equal to the base's. parameters, flops (of a token in training): by another width, see `by`; steps;
    tokens: by another number of steps; minutes: training.max_minutes of the base, however many steps that are."""
    by: str | None = None
    """The width that is adjusted until parameters or FLOPs are within 1 % of the base's: a dotted key, such as
    model.encoder.layer.ffn.d_ff."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=2**32 - 1)], ...], Field(min_length=1)] = (1, 2, 3)
    """Every variant is trained with each of them; a number n stands for 1 to n."""
    metric: str | None = None
    """The score that variants are compared by; null: the one that chooses the task's best checkpoint."""
    split: Literal["dev", "test"] | None = None
    """What they are scored on; null: the test set, where there is one."""
    tune: Mapping[str, tuple[Any, ...]] = {}
    """Dotted keys and the values to try for each variant in short trainings with a seed of their own, as with
    training.schedule.peak_lr; the best by the validation score is then that variant's."""
    tune_steps: int = Field(300, ge=1, le=10**7)
    """Steps of such a training."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _numbered(cls, value: Any) -> Any:
        is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000
        if not is_count and not isinstance(value, list | tuple):
            raise ValueError(f"must be how many seeds, from 1 to 1000, or a list of seeds, got {show(value)}")
        return tuple(range(1, value + 1)) if is_count else value

    @field_validator("factors", "grid", "tune", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: tuple(each) if isinstance(each, list) else each for key, each in value.items()}

    def problems(self, path: str) -> list[Problem]:
        """Whatever is wrong with the file as a whole, each where it stands."""
        return [
            Problem(f"{path}.{key}" if path and key else path or key, why) for key, why in self._mistakes()
        ]

    def _mistakes(self) -> Iterator[tuple[str, str]]:
        """Keys and what is wrong with what stands there."""
        if not (self.variants or self.factors or self.grid):
            yield "", "nothing varies: give variants, factors or grid"
        for name, keys in self.variants.items():
            path = f"variants.{name}"
            if name == BASE:
                yield path, "the base itself has this name; take another"
            if not keys:
                yield path, "it changes nothing; the base is trained in any case"
            if not name.strip() or len(name) > _LONGEST_NAME or any(category(c) == "Cc" for c in name):
                yield (
                    "variants",
                    f"{name[:_LONGEST_NAME]!r} is no name; it takes 1 to {_LONGEST_NAME} characters, none of "
                    "them a control character",
                )
        changed = {
            "overrides": self.overrides,
            **{f"variants.{name}": keys for name, keys in self.variants.items()},
            **{name: getattr(self, name) for name in ("factors", "grid", "tune")},
        }
        for path, keys in changed.items():
            if SEED in keys:
                yield f"{path}.{SEED}", "every variant is trained with each of `seeds`; give them there"
        counts = {name: math.prod(map(len, getattr(self, name).values())) for name in ("grid", "tune")}
        counts["factors"] = sum(map(len, self.factors.values()))
        for name, count in counts.items():
            if count > _MOST:
                yield name, f"{count:,} combinations; at most {_MOST:,}"
        if self.match in ("parameters", "flops") and self.by is None:
            yield (
                "match",
                f"{self.match} needs by, the width that is adjusted, such as model.encoder.layer.ffn.d_ff",
            )
        if self.match not in ("parameters", "flops") and self.by is not None:
            yield "by", f"belongs to match: parameters or flops; match: {self.match} adjusts no width"
        if len(set(self.seeds)) < len(self.seeds):
            yield "seeds", "one is there twice"
        for name in ("factors", "grid", "tune"):
            for key, values in getattr(self, name).items():
                if not values:
                    yield f"{name}.{key}", "no value"
                if any(value in values[:i] for i, value in enumerate(values)):
                    yield f"{name}.{key}", "a value is there twice"


@dataclass(frozen=True)
class Change:
    """What a variant sets, before anything is matched."""

    name: str
    overrides: tuple[str, ...]
    """As on the command line."""
    path: str
    """Where it stands in the file."""


@dataclass(frozen=True)
class Document:
    """An ablation as it was read."""

    spec: AblationSpec
    """What it asks for; where there are mistakes, without the keys that they are in."""
    folder: Path
    """What paths in it start from."""
    name: str
    """The file's without its ending."""
    locate: Callable[[str], str]
    """`file:line` of a dotted path in it, or of what is nearest above; "" where it is no file."""
    mistakes: tuple[Problem, ...] = ()
    """What is wrong with the file as a whole; `make_plan` tells it with what is wrong with the base and variants."""


def read(source: str | Path | Mapping[str, Any]) -> Document:
    """Reads an ablation: a YAML file, or a mapping of the same keys, whose paths start from the working directory.

    Mistakes that leave a base to read are the document's.
    Raises: PresetError, SpecError naming file and line.
    """
    if isinstance(source, Mapping):
        return _document(source, Path(), "ablation", lambda key: "")
    path = Path(source)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        beside = [str(each) for each in path.parent.glob("*.y*ml")]
        near = f"; {suggest(str(path), beside)}" if beside else ""
        raise PresetError(f"{path}: cannot be read ({error.strerror}){near}") from None
    text = read_text(content, str(path))
    if not isinstance(text.data, dict):
        raise PresetError(
            f"{path}:1: no mapping; an ablation has the keys {', '.join(AblationSpec.model_fields)}"
        )
    if "base" not in text.data and {"model", "extends"} & text.data.keys():
        raise PresetError(
            f"{path}:1: this is a spec, not an ablation: zoo train {path} trains it; an ablation of it has base: "
            f"{path.name}, and variants, factors or grid"
        )
    lines = {".".join(map(str, keys)): line for keys, line in text.lines.items()}

    def locate(key: str) -> str:
        while key and key not in lines:
            key = key.rpartition(".")[0]
        return f"{path}:{lines.get(key, 1)}"

    return _document(text.data, path.parent, path.stem, locate)


def _document(data: Mapping[str, Any], folder: Path, name: str, locate: Callable[[str], str]) -> Document:
    try:
        return Document(parse(AblationSpec, dict(data), locate=locate), folder, name, locate)
    except SpecError as error:
        found = list(error.problems)
    rest = _without(data, found)
    if rest is None:
        raise SpecError(found)
    told = {(each.path, each.message) for each in found}
    is_cut = any(each.path.partition(".")[0] in _VARYING for each in found)
    found += [
        replace(each, where=locate(each.path))
        for each in rest.problems("")
        if (each.path, each.message) not in told and not (is_cut and not each.path)
    ]
    rest = _without(data, found)
    assert rest is not None  # as before, for no limit is one of the base
    return Document(rest, folder, name, locate, tuple(found))


def _without(data: Mapping[str, Any], mistakes: Iterable[Problem]) -> AblationSpec | None:
    """What data asks for without the keys that are wrong; None where no base is left."""
    rest = {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    for mistake in mistakes:
        field = mistake.path.partition(".")[0]
        held = rest.get(field)
        keys = list(held) if isinstance(held, dict) else []
        wrong = [key for key in keys if f"{mistake.path}.".startswith(f"{field}.{key}.")]
        if wrong:
            rest[field] = {key: value for key, value in rest[field].items() if key not in wrong}
        for key in () if wrong else ("match", "by") if field in ("match", "by") else (field,):
            rest.pop(key, None)
    try:
        return AblationSpec.model_validate(rest)
    except ValidationError:
        return None


def base_source(spec: AblationSpec, folder: Path) -> str:
    """The base as a source of specs: a path in the file is one from where the file lies."""
    beside = folder / spec.base
    return str(beside) if beside.exists() else spec.base


def changes(spec: AblationSpec) -> list[Change]:
    """The variants in order, without the base. Raises: SpecError where two have one name."""
    found = [Change(name, override_words(keys), f"variants.{name}") for name, keys in spec.variants.items()]
    for key, values in spec.factors.items():
        path = f"factors.{key}"
        found += [Change(_named({key: value}), override_words({key: value}), path) for value in values]
    for keys in combinations(spec.grid) if spec.grid else ():
        found.append(Change(_named(keys), override_words(keys), "grid"))
    names = [change.name for change in found]
    twice = [change for i, change in enumerate(found) if change.name in names[:i]]
    if twice:
        raise SpecError(
            [Problem(change.path, f"two variants are called '{change.name}'") for change in twice]
        )
    return found


def combinations(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Each combination of values of keys."""
    for chosen in itertools.product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def override_words(keys: Mapping[str, Any]) -> tuple[str, ...]:
    """Dotted keys and values as KEY=VALUE."""
    return tuple(f"{key}={_flow(value)}" for key, value in keys.items())


def _flow(value: Any) -> str:
    """A value on one line as JSON, which is YAML, but for numbers that JSON has not."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value, ensure_ascii=False)


def _named(keys: Mapping[str, Any]) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={_shown(value)}" for key, value in keys.items())


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        rest = [f"{key}={_shown(each)}" for key, each in value.items() if key != "type"]
        return "_".join([str(value.get("type", "")), *rest]).strip("_")
    return json.dumps(value) if not isinstance(value, str) else value
