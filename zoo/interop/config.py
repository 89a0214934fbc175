"""A config.json, read so that no field of it goes unnoticed.

A field is read by the family's mapping, or has the one value the mapping stands for, or is known not to change what the
model computes. Any other field is refused, for a model that ignores it would silently be another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, overload

from registry import Problem, SpecError, suggest
from zoo.interop.search_fields import FIELDS, IDS

BOOKKEEPING = (
    frozenset(
        """
    _attn_implementation _attn_implementation_autoset _attn_implementation_internal _commit_hash
    _flash_attn_2_enabled _model_name_or_path _name_or_path _num_labels architectures attn_implementation
    chunk_size_feed_forward custom_pipelines dtype eos_token_ids finetuning_task gradient_checkpointing id2label
    init_std initializer_factor initializer_range is_encoder_decoder label2id model_name model_type name_or_path
    num_labels output_past prefix problem_type return_dict sbert_ce_default_activation_function
    sentence_transformers sep_token_id task_specific_params tf_legacy_loss tokenizer_class torch_dtype torchscript
    transformers.js_config trust_remote_code unsloth_fixed unsloth_version use_bfloat16 xla_device
    """.split()  # noqa: SIM905
    )
    | {*IDS}
    | FIELDS
)
"""Fields of any config.json that say how a model is stored, initialised, trained or searched, not what it computes."""

FIXED: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False, None),
    "cross_attention_hidden_size": (None,),
    "is_decoder": (False, None),
    "per_layer_config": (None, {}),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
    "tie_encoder_decoder": (False, None),
}
"""Fields of any config.json that may stand there with these values only."""

ACTIVATIONS = {
    "relu": "relu",
    "relu2": "relu_squared",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "silu": "silu",
    "swish": "silu",
    "mish": "mish",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "linear": "identity",
}
"""transformers' names of activations to ours; several of them are one function."""

MOST_LAYERS = 1000
"""A stack's limit."""

_NO_DEFAULT = object()


def activation_name(ours: str) -> str:
    """What transformers calls one of our activations, the first name where it has several."""
    names = {mine: theirs for theirs, mine in reversed(ACTIVATIONS.items())} | {
        "gelu_tanh": "gelu_pytorch_tanh"
    }
    if ours not in names:
        raise ValueError(f"transformers has no activation '{ours}'")
    return names[ours]


def labels_config(head: Any) -> dict[str, Any]:
    """The fields that say a classifier's classes; none for another head."""
    if not hasattr(head, "n_classes"):
        return {}
    labels = {str(i): f"LABEL_{i}" for i in range(head.n_classes)}
    return {"id2label": labels, "label2id": {label: int(i) for i, label in labels.items()}}


@dataclass(frozen=True)
class Variant:
    """What a config leaves open and the tensors beside it decide, by their names."""

    lacking: frozenset[str] = frozenset()
    """Those that a model of the config would have and the checkpoint has not."""
    own_tables: frozenset[str] = frozenset()
    """Those that should be fixed tables and hold rounded numbers, which are kept."""


PLAIN = Variant()


class Config:
    """A config.json, or a section of it, that notes which fields are read.

    Each reader takes the default that transformers has where the field is absent. Every mistake is a SpecError that
    names the file and the field.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        where: str = "config.json",
        section: str = "",
        architecture: str = "",
        variant: Variant = PLAIN,
    ) -> None:
        self.data = data
        self.where = where
        self.section = section
        self.architecture = architecture
        """The class of transformers whose weights these are, one of the family's."""
        self.variant = variant
        """What the checkpoint's tensors say beside the config."""
        self._read: set[str] = set()
        self.by_default: dict[str, int] = {}
        """Integers that are not there, and what was read in their place."""
        self.noted: list[Problem] = []
        """Values that cannot be, in whose place what transformers has by default was read, to tell all of them."""
        self._sections: list[Config] = []

    def __contains__(self, name: str) -> bool:
        return name in self.data

    def value(self, name: str, default: Any = _NO_DEFAULT) -> Any:
        """A field's value, whatever its type. Without a default the field must be there."""
        self._read.add(name)
        if name in self.data:
            return self.data[name]
        if default is _NO_DEFAULT:
            self.refuse(name, "this field is missing")
        return default

    @overload
    def integer(self, name: str, default: int) -> int: ...
    @overload
    def integer(self, name: str, default: None) -> int | None: ...
    def integer(self, name: str, default: int | None) -> int | None:
        """An integer; null is allowed where it is the default."""
        if name not in self.data and default is not None:
            self.by_default[self._path(name)] = default
        return self._typed(name, default, (int,), "an integer")

    def nullable_integer(self, name: str, default: int | None) -> int | None:
        """An integer, or null, which is not the same as to leave the field out."""
        if name in self.data and self.value(name) is None:
            return None
        return self._typed(name, default, (int,), "an integer")

    def n_layers(self, name: str, default: int) -> int:
        """A number of layers, few enough to be listed."""
        value = self.integer(name, default)
        if not 1 <= value <= MOST_LAYERS:
            self._note(name, f"must be between 1 and {MOST_LAYERS} layers, got {value}")
            return default
        return value

    @overload
    def number(self, name: str, default: float) -> float: ...
    @overload
    def number(self, name: str, default: None) -> float | None: ...
    def number(self, name: str, default: float | None) -> float | None:
        """A number, as float; null is allowed where it is the default."""
        value = self._typed(name, default, (int, float), "a number")
        return None if value is None else float(value)

    def boolean(self, name: str, default: bool) -> bool:
        """True or false."""
        return self._typed(name, default, (bool,), "true or false")

    def text(self, name: str, default: str) -> str:
        """A string."""
        return self._typed(name, default, (str,), "a string")

    def activation(self, name: str, default: str) -> str:
        """An activation, by our name; default is transformers'."""
        theirs = self.text(name, default)
        if theirs not in ACTIVATIONS:
            self._note(
                name, f"the activation '{theirs}' cannot be represented; {suggest(theirs, ACTIVATIONS)}"
            )
            return ACTIVATIONS[default]
        return ACTIVATIONS[theirs]

    def part(self, name: str) -> Config | None:
        """A mapping within the config, whose fields must all be read too; None where it is absent or null."""
        value = self._typed(name, None, (Mapping,), "a mapping")
        if value is None:
            return None
        inner = Config(
            value,
            where=self.where,
            section=f"{self._path(name)}.",
            architecture=self.architecture,
            variant=self.variant,
        )
        self._sections.append(inner)
        return inner

    def padding_id(
        self, name: str = "pad_token_id", default: int | None = None, *, vocab_size: int
    ) -> int | None:
        """The id whose embedding is not trained; transformers counts a negative one from the vocabulary's end."""
        value = self.nullable_integer(name, default)
        return value + vocab_size if value is not None and value < 0 else value

    def n_labels(self, default: int = 2) -> int:
        """The number of a classifier's classes: num_labels, or as many as id2label has, as the reference counts."""
        labels = self._typed("id2label", None, (Mapping,), "a mapping")
        count = self.integer("num_labels", None)
        self._read.add("label2id")
        return count if count is not None else len(labels) if labels is not None else default

    def only(self, name: str, *accepted: Any, reason: str = "") -> None:
        """Reads a field that may be absent, or have one of these values."""
        self._read.add(name)
        if name in self.data and self.data[name] not in accepted:
            values = " or ".join(shown(value) for value in accepted)
            self._note(name, f"{shown(self.data[name])} cannot be represented{reason}; only {values} can")

    def refuse(self, name: str, message: str) -> NoReturn:
        """Raises SpecError at a field, where nothing can stand in its place."""
        raise SpecError([Problem(self._path(name), message, where=self.where)])

    def _note(self, name: str, message: str) -> None:
        """Keeps what is wrong with a field, to be told with the others; its default is read on."""
        if not any(each.path == self._path(name) and each.message == message for each in self.noted):
            self.noted.append(Problem(self._path(name), message, where=self.where))

    def problems(
        self, *, mapping: str, fixed: Mapping[str, Any], bookkeeping: Sequence[str], ignore: Sequence[str]
    ) -> list[Problem]:
        """The fields that nobody accounts for, after a mapping has read what it wants, and those that it could not."""
        found = [each for each in self.noted if each.path not in ignore]
        for name in sorted(self.data):
            path = self._path(name)
            if name in self._read or path in ignore:
                continue
            value = self.data[name]
            if name == "auto_map":
                text = "the folder brings code of its own, and none is executed; if the model is none of that code, "
                found.append(Problem(path, f"{text}ignore this field (--ignore {path})", where=self.where))
            elif name in fixed:
                accepted = fixed[name] if isinstance(fixed[name], tuple) else (fixed[name],)
                if value not in accepted:
                    values = " or ".join(shown(each) for each in accepted)
                    text = f"{shown(value)} cannot be represented; only {values} can"
                    found.append(Problem(path, text, where=self.where))
            elif name not in bookkeeping:
                text = f"unknown to the {mapping} mapping ({shown(value)}); if it changes nothing, ignore it by name"
                text += f" (--ignore {path})"
                found.append(Problem(path, text, where=self.where))
        for section in self._sections:
            found += section.problems(mapping=mapping, fixed={}, bookkeeping=(), ignore=ignore)
        return found

    def _typed(self, name: str, default: Any, types: tuple[type, ...], what: str) -> Any:
        value = self.value(name, default)
        if value is None and default is None:
            return None
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            self._note(name, f"must be {what}, got {shown(value)}")
            return default
        return value

    def _path(self, name: str) -> str:
        return f"{self.section}{name}"


def shown(value: Any) -> str:
    """A value as it stands in a config.json, cut where it is long."""
    if isinstance(value, str):
        text = f"'{value}'"
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    else:
        text = str(value)
    return text if len(text) <= 80 else f"{text[:60]}..."
