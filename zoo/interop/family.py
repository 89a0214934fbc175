"""Family: what is known of one of transformers' model types, and where the families are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from registry import Problem, SpecError, suggest
from zoo.interop.config import Config
from zoo.interop.rules import Rules
from zoo.interop.trial import Padding, TrialMaker
from zoo.interop.writing import Writing


@dataclass(frozen=True)
class Published:
    """A published model, whose parameters are counted, and whose config a preset, where there is one, must give."""

    source: str
    """Where the config is from."""
    config: Mapping[str, Any]
    """Its config.json, `model_type` left out."""
    preset: str | None = None
    """Name of the preset that is this model; None: there is none."""
    preset_as: str | None = None
    """The class of the preset, where that has a head which the published model has not; None: the config's."""

    @property
    def name(self) -> str:
        """The preset's name, or the model's own."""
        return self.preset or self.source.rpartition("/")[2]


@dataclass(frozen=True)
class Family:
    """How one model type of transformers is written as a spec, and its weights as ours.

    A module of zoo/interop/families holds one as FAMILY. `to_spec` and `to_config` are each other's inverse for every
    config that is not refused, and `weights` lists the rules for a spec that `to_spec` gave.
    """

    name: str
    """config.json's model_type."""
    architectures: tuple[str, ...]
    """The library's classes there is a mapping for; the first is taken where a config names none."""
    to_spec: Callable[[Config], dict[str, Any]]
    """A config -> the model's spec as plain data, as in YAML."""
    to_config: Callable[[Any], dict[str, Any]]
    """The model's spec -> the fields of a config.json, `architectures` among them."""
    weights: Callable[[Any], Rules]
    """The model's spec -> which tensors are which."""
    examples: tuple[Mapping[str, Any], ...]
    """Small configs for certification, all sizes different, each option of the mapping in at least one."""
    library: str = "transformers"
    """Where its classes are: a module of ours with a slow reference where transformers has none."""
    published: tuple[Published, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Fields that may stand in a config with this value only (a tuple: with these)."""
    bookkeeping: tuple[str, ...] = ()
    """Further fields that do not change what the model computes."""
    prefix: str = ""
    """What the names of a base model's checkpoint lack, or have too much, such as "transformer."."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Regular expressions and replacements for names in older checkpoints."""
    ignored: tuple[str, ...] = ()
    """Regular expressions of tensors that mean nothing here: masks, position ids, heads of other tasks."""
    writing: Writing | None = None
    """How its models are searched where a folder does not say; None where they write nothing."""
    trial: TrialMaker | None = None
    """Makes inputs for certification where they are not tokens; None: as the model's type says."""
    paddings: tuple[Padding, ...] = ("none", "left", "right")
    """How a trial's batches may be padded: images are not, and some references cannot do every side."""
    prepare: Callable[[Any, Mapping[str, Any]], None] | None = None
    """Changes a reference made from a config alone into what loading a checkpoint of it makes; None: nothing."""
    read_as: Mapping[str, str] = field(default_factory=dict)
    """Further classes of transformers, older names or with heads besides, and which of `architectures` is exactly the
    part of them that is read."""
    attention: str = "eager"
    """transformers' implementation of attention that certification compares with; another one where that one errs."""
    beam: int = 0
    """Width of the beam search that certification compares besides greedy search; 0: none."""

    def architecture(self, config: Mapping[str, Any], chosen: str | None, where: str) -> str:
        """The class whose weights a config goes with. Raises: SpecError for one that has no mapping."""
        names = [chosen] if chosen else classes_of(config)
        if not names:
            return self.architectures[0]
        for name in names:
            if found := self.read_as.get(name, name if name in self.architectures else None):
                return found
        known = ", ".join(self.architectures)
        message = f"{' and '.join(map(repr, names))} cannot be represented (known for {self.name}: {known})"
        if not chosen:
            message += "; to read the folder as one of these, name it by --architecture"
        raise SpecError([Problem("architectures", message, where=where)])


def classes_of(config: Mapping[str, Any]) -> list[str]:
    """The classes of transformers that a config names."""
    given = config.get("architectures") or []
    many = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return [str(name) for name in many]


def family_of(config: Mapping[str, Any], architecture: str | None, where: str) -> Family:
    """The family of a config: by its model_type, or, where it has none, by the class of transformers.

    Raises: SpecError where there is none.
    """
    if config.get("model_type") is not None:
        return family_named(config["model_type"], where)
    names = [architecture] if architecture else classes_of(config)
    for family in families() if names else ():
        if any(name in family.architectures or name in family.read_as for name in names):
            return family
    text = f"no family has the class {' or '.join(map(repr, names))}" if names else "it is missing"
    message = f"{text}; say which class of transformers this is by --architecture, such as BertModel"
    raise SpecError([Problem("model_type", message, where=where)])


@cache
def family_names() -> tuple[str, ...]:
    """The families there are, by their files; none is loaded."""
    package = importlib.import_module("zoo.interop.families")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def families() -> list[Family]:
    """Every family."""
    return [family_named(name) for name in family_names()]


def family_named(name: object, where: str = "") -> Family:
    """The family of that model type; `-` and `_` are one. Raises: SpecError for one there is no mapping for."""
    known = family_names()
    file = name.replace("-", "_") if isinstance(name, str) else ""
    if file not in known:
        text = "no model type is given" if name is None else f"there is no mapping for {name!r}"
        raise SpecError(
            [
                Problem(
                    "model_type" if where else "", f"{text}; {suggest(file, known, listed=True)}", where=where
                )
            ]
        )
    family: Family = importlib.import_module(f"zoo.interop.families.{file}").FAMILY
    assert family.name.replace("-", "_") == file, f"families/{file}.py holds the family {family.name}"
    return family
