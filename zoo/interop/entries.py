"""Entries of a family's table: fields of a config and the keys of a spec that they say, read in both directions.

Paths are those of the spec; `layer.` is the form of a stack's layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Protocol

from zoo.interop.config import Config, activation_name, labels_config, shown
from zoo.interop.rotary import rotary_config, rotary_spec

Plain = dict[str, Any]
At = Callable[[str], Any]
"""A path -> what stands there."""
_HEADS = ("language_model", "none", "pooled_classifier")


class Entry(Protocol):
    """Some fields of a config and what they are in a spec."""

    order: ClassVar[int]
    """Which parts there are is read first (0), then their keys (1), then in what layers differ (2)."""

    def read(self, config: Config, spec: Plain) -> None:
        """Puts what a config says into a spec, as plain data."""
        ...

    def written(self, spec: Any) -> Plain:
        """The fields that say it of a spec."""
        ...


def put(spec: Plain, path: str, value: Any) -> None:
    """Sets a key of a part; where there is no such part, nothing."""
    *parents, key = _full(spec, path)
    part: Any = spec
    for parent in parents:
        part = part.get(parent) if isinstance(part, dict) else None
    if isinstance(part, dict):
        part[key] = value


def at(spec: Plain | Any, path: str) -> Any:
    """What stands at a path of a spec, as plain data or parsed; of layers in the first that has it."""
    if isinstance(spec, dict):
        found: Any = spec
        for key in _full(spec, path):
            found = found[key]
        return found
    if path.startswith("layer."):
        stack = spec.decoder if hasattr(spec, "decoder") else spec.encoder
        for layer in stack.each_layer():
            with suppress(AttributeError):
                return _within(layer, path.removeprefix("layer."))
    return _within(spec, path)


def _within(part: Any, path: str) -> Any:
    for key in path.split("."):
        part = getattr(part, key)
    return part


def _full(spec: Plain, path: str) -> list[str]:
    stack = ["decoder" if "decoder" in spec else "encoder"] if path.startswith("layer.") else []
    return [*stack, *path.split(".")]


@dataclass(frozen=True)
class Field:
    """A field whose value is that of a key: a number, a truth or an activation."""

    order: ClassVar[int] = 1
    path: str
    name: str
    default: Any
    """transformers', by its type also the field's; None: `kind`, or null."""
    kind: type = int
    otherwise: Callable[[At], Any] | None = None
    """What null means: worked out from what stands at other paths; None: null."""
    also: tuple[str, ...] = ()
    """Further paths of the value, where there are those parts."""
    alias: str = ""
    """Another name of the field, which is read where this one is absent."""

    def read(self, config: Config, spec: Plain) -> None:
        if self.path.startswith("head.") and spec["head"]["type"] != "language_model":
            config.value(self.name, None)
            return
        value = self._value(config)
        if self.alias and self.name in config:
            config.only(self.alias, config.value(self.name), reason=f" beside {self.name}")
        if value is None and self.otherwise is not None:
            value = self.otherwise(lambda path: at(spec, path))
        for path in (self.path, *self.also):
            put(spec, path, value)

    def _value(self, config: Config) -> Any:
        name = self.alias if self.alias in config and self.name not in config else self.name
        if self.otherwise is not None and config.value(name, self.default) is None:
            return None
        if isinstance(self.default, str):
            return config.activation(name, self.default)
        if isinstance(self.default, bool):
            return config.boolean(name, self.default)
        if isinstance(self.default, float) or (self.default is None and self.kind is float):
            return config.number(name, self.default)
        return config.integer(name, self.default)

    def written(self, spec: Any) -> Plain:
        try:
            value = at(spec, self.path)
        except AttributeError:
            return {}  # of a part that this model has not
        if isinstance(self.default, str):
            value = activation_name(value)
        if value is None and self.otherwise is not None:
            value = self.otherwise(lambda path: at(spec, path))
        return {self.name: value}


@dataclass(frozen=True)
class Layers:
    """The number of layers."""

    order: ClassVar[int] = 1
    name: str
    default: int

    def read(self, config: Config, spec: Plain) -> None:
        stack = "decoder" if "decoder" in spec else "encoder"
        spec[stack]["n_layers"] = config.n_layers(self.name, self.default)

    def written(self, spec: Any) -> Plain:
        stack = spec.decoder if hasattr(spec, "decoder") else spec.encoder
        return {self.name: len(stack.each_layer())}


@dataclass(frozen=True)
class Choice:
    """A field each of whose values stands for one form of a part, or one value of a key."""

    order: ClassVar[int] = 0
    path: str
    name: str
    default: Any
    forms: tuple[tuple[Any, Any], ...]
    """Their value and ours."""

    def read(self, config: Config, spec: Plain) -> None:
        value = config.value(self.name, self.default)
        for theirs, ours in self.forms:
            if value == theirs and type(value) is type(theirs):
                put(spec, self.path, copy.deepcopy(ours))
                return
        known = ", ".join(shown(theirs) for theirs, _ in self.forms)
        config.refuse(self.name, f"must be one of {known}, got {shown(value)}")

    def written(self, spec: Any) -> Plain:
        mine = at(spec, self.path)
        for theirs, ours in self.forms:
            if _is_like(mine, ours):
                return {self.name: theirs}
        raise ValueError(f"{self.path} has a form that {self.name} cannot say")


def _is_like(part: Any, form: Any) -> bool:
    """Whether a part of a spec has what a form of plain data says."""
    if isinstance(form, Mapping):
        return all(_is_like(getattr(part, key, None), value) for key, value in form.items())
    if isinstance(form, list | tuple):
        return isinstance(part, tuple) and part == tuple(form)
    if isinstance(form, str) and hasattr(part, "type"):
        return bool(part.type == form)
    return type(part) is type(form) and bool(part == form)


@dataclass(frozen=True)
class PaddingId:
    """The id whose embedding is not trained."""

    order: ClassVar[int] = 1
    default: int | None = None

    def read(self, config: Config, spec: Plain) -> None:
        tokens = spec["tokens"]
        tokens["padding_id"] = config.padding_id(default=self.default, vocab_size=tokens["vocab_size"])

    def written(self, spec: Any) -> Plain:
        return {"pad_token_id": spec.tokens.padding_id}


@dataclass(frozen=True)
class Rotary:
    """Rotary positions, in any of the ways to say them."""

    order: ClassVar[int] = 1
    base: float = 10000.0
    max_len: int = 2048
    fraction: float | None = None
    """The share of a head that turns where `partial_rotary_factor` does not say it; None: all, and there is no such
    field."""
    original_len: int | None = None
    """original_max_position_embeddings where a config does not say it."""

    def read(self, config: Config, spec: Plain) -> None:
        found = rotary_spec(
            config,
            base=self.base,
            max_len=self.max_len,
            original_len=self.original_len,
            fraction=self.fraction or 1.0,
            is_partial=self.fraction is not None,
        )
        spec["position"] = {**spec["position"], **found}

    def written(self, spec: Any) -> Plain:
        fields = rotary_config(spec.position)
        if self.fraction is not None:
            fields["partial_rotary_factor"] = spec.position.fraction
        return fields


@dataclass(frozen=True)
class Head:
    """What the model ends in, by its class: the table's head, nothing, or a classifier of the last token."""

    order: ClassVar[int] = 0
    stem: str
    """What the names of the classes begin with."""
    tied: bool = False
    suffixes: tuple[str, ...] = ("ForCausalLM", "Model", "ForSequenceClassification")
    """What they end with: of the one that predicts words, of the one without a head, and, if there is a
    mapping for it, of the classifier."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.stem + suffix for suffix in self.suffixes)

    def read(self, config: Config, spec: Plain) -> None:
        is_tied = config.boolean("tie_word_embeddings", self.tied)
        head = _HEADS[self.classes.index(config.architecture)]
        if head == "language_model":
            spec["head"] = {"type": "language_model", "predicts": "tokens", "tied": is_tied, **spec["head"]}
        elif head == "none":
            spec["head"] = {"type": "none"}
        else:
            n_classes = config.n_labels()
            spec["head"] = {
                "type": "pooled_classifier",
                "n_classes": n_classes,
                "pool": "last",
                "bias": False,
            }

    def written(self, spec: Any) -> Plain:
        return {
            "architectures": [self.classes[_HEADS.index(spec.head.type)]],
            "tie_word_embeddings": getattr(spec.head, "tied", self.tied),
            **labels_config(spec.head),
        }


@dataclass(frozen=True)
class Window:
    """How many tokens a query sees in every layer, its own included; null: all before it."""

    order: ClassVar[int] = 2
    name: str
    default: int | None = None

    def read(self, config: Config, spec: Plain) -> None:
        layer = spec["decoder"]["layer"]
        layer["self_attention"] = windowed(
            layer["self_attention"], config.nullable_integer(self.name, self.default)
        )

    def written(self, spec: Any) -> Plain:
        return {self.name: windows_of(spec)[0]}


@dataclass(frozen=True)
class PerLayer:
    """In what the layers of a stack differ."""

    order: ClassVar[int] = 2
    forms: Callable[[Config, int, Plain], Sequence[Plain]]
    """A config, the number of layers and their form -> what differs from it in each layer, the first layer's first."""
    fields: Callable[[Any], Plain]
    """The model's spec -> the fields that say it."""

    def read(self, config: Config, spec: Plain) -> None:
        stack = spec["decoder"]  # with its number of layers, which is read before
        forms = list(self.forms(config, stack["n_layers"], stack["layer"]))
        if all(form == forms[0] for form in forms):
            stack["layer"] = {**stack["layer"], **forms[0]}
            return
        del stack["n_layers"]
        stack["layers"] = [{"repeat": len(list(group)), "layer": form} for form, group in groupby(forms)]

    def written(self, spec: Any) -> Plain:
        return self.fields(spec)


def windowed(attention: Plain, window: int | None) -> Plain:
    """An attention of which a query sees so many tokens, its own included; None: all before it."""
    if window is None:
        return attention
    return {**attention, "type": "restricted", "radius": window - 1}


def windows_of(spec: Any) -> list[int | None]:
    """For each layer how many tokens a query sees; None: all before it."""
    radii = [getattr(layer.self_attention, "radius", None) for layer in spec.decoder.each_layer()]
    return [None if radius is None else radius + 1 for radius in radii]
