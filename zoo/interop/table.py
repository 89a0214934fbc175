"""A family as a table: what the spec is, which field of a config says which key of it, which tensors are which.

One table is read in both directions. A family that differs little from another is its sibling: it says what differs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zoo.assembly.merging import merged
from zoo.interop.config import Config
from zoo.interop.entries import Entry, Plain
from zoo.interop.family import Family
from zoo.interop.rules import Names, Operation, Rules, for_each, module
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing

PREFIX = "model."
"""What the names of a model with a head begin with, in most families."""

Make = Callable[[Any], Operation]
"""The model's spec -> how its tensor becomes ours."""
Theirs = str | tuple[str, Operation | Make] | tuple[str, Operation, Operation | Make]


@dataclass(frozen=True)
class Table:
    """One family's spec, config and tensors."""

    parts: Plain
    """The spec as plain data, without what a config says."""
    fields: Mapping[str, Entry]
    """What a config says, under names by which a sibling replaces them."""
    tensors: Mapping[Names, Theirs]
    """Our modules and theirs, those of a layer within their layer; where several of ours are in one of theirs, or
    their shapes differ, with the operation between them. Biases and whole modules that ours has not are left out."""
    layers: str = "layers"
    """Their name of the layers' list."""
    prefix: str = PREFIX
    """What stands before their names, but those of heads, in a model with a head."""
    further: Callable[[Any, str], Rules] = field(default=lambda spec, layer: [])
    """A model's spec and their name of layer {i} -> further rules of each layer."""

    def sibling(
        self,
        *,
        parts: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        without: Sequence[str] = (),
        tensors: Mapping[Names, Theirs | None] | None = None,
        **rest: Any,
    ) -> Table:
        """A table that differs in what is given.

        Parts are merged. A field is an entry, or the default, or name and default, of one there is; without names those
        that are no more. Tensors replace those of the same of our modules, None with none.
        """
        found = {name: entry for name, entry in self.fields.items() if name not in without}
        for name, value in (fields or {}).items():
            found[name] = value if hasattr(value, "order") else _changed(found[name], value)
        known = {name for names in tensors or {} for name in _several(names)}
        kept = {names: theirs for names, theirs in self.tensors.items() if not known & set(_several(names))}
        return replace(
            self,
            parts=merged(self.parts, parts or {}),
            fields=found,
            tensors={**kept, **{ours: theirs for ours, theirs in (tensors or {}).items() if theirs}},
            **rest,
        )

    def to_spec(self, config: Config) -> Plain:
        """A config -> the model's spec as plain data."""
        spec = copy.deepcopy(self.parts)
        for entry in sorted(self.fields.values(), key=lambda entry: entry.order):
            entry.read(config, spec)
        return spec

    def to_config(self, spec: Any) -> Plain:
        """The model's spec -> a config."""
        return {name: value for entry in self.fields.values() for name, value in entry.written(spec).items()}

    def weights(self, spec: Any) -> Rules:
        """Which tensors are which."""
        stack = "decoder" if hasattr(spec, "decoder") else "encoder"
        prefix = "" if spec.head.type == "none" else self.prefix
        layer = f"{prefix}{self.layers}.{{i}}"
        whole: list[Rules] = []
        heads: list[Rules] = []  # last, for a tied matrix is told by a rule before
        of_layer: list[Rules] = []
        for names, theirs in self.tensors.items():
            name, *operations = (theirs,) if isinstance(theirs, str) else theirs
            made = [each(spec) if callable(each) else each for each in operations]
            ours = _several(names)
            if ours[0].startswith("layer."):
                own = tuple(f"{stack}.layers.{{i}}.{each.removeprefix('layer.')}" for each in ours)
                of_layer.append(module(own, f"{layer}.{name}", *made))
            elif ours[0].startswith("head"):
                heads.append(module(ours, name, *made))
            else:
                whole.append(module(ours, f"{prefix}{name}", *made))
        n_layers = len(getattr(spec, stack).each_layer())
        rules = for_each("i", n_layers, *of_layer, self.further(spec, layer))
        return [rule for group in (*whole, rules, *heads) for rule in group]


def decoder_family(
    name: str,
    table: Table,
    *,
    writing: Writing,
    small: Plain,
    examples: Sequence[Plain],
    **rest: Any,
) -> Family:
    """The family of a table of decoders; rest are further keys of a Family.

    The examples are of the model that predicts words, and say what they change of the small config; those of the
    other classes are added.
    """
    architectures = table.fields["head"].classes  # type: ignore[attr-defined]
    one_layer = {**small, table.fields["n_layers"].name: 1}  # type: ignore[attr-defined]
    labels = [f"LABEL_{i}" for i in range(5)]
    classes = {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    others: tuple[Plain, Plain] = ({}, {"pad_token_id": 4, **classes})
    return Family(
        **{
            "name": name,
            "architectures": architectures,
            "to_spec": table.to_spec,
            "to_config": table.to_config,
            "weights": table.weights,
            "prefix": table.prefix,
            "trial": last_token_trial,
            "ignored": (r"rotary_emb\.inv_freq$",),
            "writing": writing,
            "examples": (
                *({**small, **example} for example in examples),
                *(
                    {**one_layer, "architectures": [each], **fields}
                    for each, fields in zip(architectures[1:], others, strict=False)
                ),
            ),
            **rest,
        }
    )


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _changed(entry: Any, value: Any) -> Any:
    name, default = value if isinstance(value, tuple) else (entry.name, value)
    return replace(entry, name=name, default=default)
