"""Specs of models as plain data in which equal models are equal, and the keys in which two of them differ."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from registry import Spec, differences, dump, parse
from zoo.kinds import FFN, MIXER, MODEL

_WITHOUT_EFFECT = ("initialization", "kernel")
"""Keys that say how a model is begun or computed, not what it computes."""


def canonical(spec: Spec) -> dict[str, Any]:
    """A model's spec as plain data, equal for specs that compute the same with weights of the same names.

    Layers are written one by one and defaults that follow from other keys are filled in.
    """
    data = _with_widths(dump(spec), spec.d_model)  # type: ignore[attr-defined]
    for name in ("encoder", "decoder"):
        stack = getattr(spec, name, None)
        if stack is None:
            continue
        written = {
            key: value for key, value in data[name].items() if key not in ("n_layers", "layer", "layers")
        }
        layers = [_with_widths(dump(layer), data["d_model"]) for layer in stack.each_layer()]
        for layer in layers:
            if layer.get("attention_norm", 0) is None:
                layer["attention_norm"] = layer["norm"]
        data[name] = {**written, "position": written["position"] or data["position"], "layers": layers}
    has_own = [name for name in ("encoder", "decoder") if name in data]
    if all(name in data and data[name]["position"] for name in has_own):
        del data["position"]
    return _filled(data, data["d_model"])


def from_canonical(data: Mapping[str, Any]) -> Any:
    """A spec of canonical data. Raises: SpecError for data that is none."""
    stacks = {name: dict(data[name]) for name in ("encoder", "decoder") if name in data}
    positions = [stack["position"] for stack in stacks.values()]
    is_one = all(position == positions[0] for position in positions)
    for stack in stacks.values():
        stack["layers"] = [{"layer": layer} for layer in stack["layers"]]
        stack["position"] = None if is_one else stack["position"]
    found = {"position": positions[0] if is_one else "none", **data, **stacks}
    return parse(MODEL.entry(found["type"]).spec, found, path="model")


def resolved(spec: Spec) -> Any:
    """The spec with the widths that follow from its d_model written out."""
    data = dump(spec)
    return parse(MODEL.entry(data["type"]).spec, _with_widths(data, data["d_model"]), path="model")


def _with_widths(data: Any, d_model: int) -> Any:
    if isinstance(data, list):
        return [_with_widths(item, d_model) for item in data]
    if not isinstance(data, dict):
        return data
    found = {key: _with_widths(value, d_model) for key, value in data.items()}
    if found.get("type") == "glu" and found["d_ff"] is None:
        with torch.device("meta"):
            width = FFN.build(FFN.entry("glu").spec.model_validate(data), d_model=d_model).inner.weight.shape[
                0
            ]
        found |= {"d_ff": width, "multiple_of": 1}
    if found.get("type") in MIXER.names() and hasattr(part := MIXER.entry(found["type"]).spec, "head_sizes"):
        found["d_k"], found["d_v"] = part.model_validate(data).head_sizes(d_model)
    if "d_pooled" in found and found["activation"] is not None:
        found["d_pooled"] = found["d_pooled"] or d_model
    return found


def _filled(data: Any, d_model: int) -> Any:
    if isinstance(data, list):
        return [_filled(item, d_model) for item in data]
    if not isinstance(data, dict):
        return data
    found = {key: _filled(value, d_model) for key, value in data.items() if key not in _WITHOUT_EFFECT}
    if "n_heads" in found and "d_k" in found:
        found["d_k"] = found["d_k"] or d_model // found["n_heads"]
        if "d_v" in found:
            found["d_v"] = found["d_v"] or found["d_k"]
        if "n_kv_heads" in found:
            found["n_kv_heads"] = found["n_kv_heads"] or found["n_heads"]
        if "scale" in found:
            found["scale"] = found["scale"] or found["d_k"] ** -0.5
    return found


@dataclass(frozen=True)
class Difference:
    """A key at which two canonical specs differ."""

    path: str
    mine: Any
    other: Any
    n_layers: int = 1
    """In how many layers it is the same; with more than one, `path` says * for the layer."""

    @property
    def is_of_form(self) -> bool:
        """Whether a part is another one or missing, rather than a number another."""
        return self.path.endswith("type") or self.mine is None or self.other is None

    def __str__(self) -> str:
        path = self.path.replace(".layers.*.", ".layers.0.")
        text = f"{path} is {_short(self.mine)}, and a config of it gives {_short(self.other)}"
        return text if self.n_layers == 1 else f"{text} (in all {self.n_layers} layers)"


def differences_of(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """The keys at which two canonical specs differ, other parts first; what all layers have in common once."""
    n_layers = {
        name: len(one[name]["layers"]) for name in ("encoder", "decoder") if name in one and name in other
    }
    mine, its = _of_one_length(one, other)
    found = [Difference(*each.of_type()) for each in differences(mine, its, "model")]
    found += [
        Difference(f"the number of model.{name}.layers", *numbers)
        for name in n_layers
        if len(set(numbers := (len(one[name]["layers"]), len(other[name]["layers"])))) == 2
    ]
    common: dict[tuple[str, str, str], list[Difference]] = {}
    for each in found:
        path = re.sub(r"\.layers\.\d+\.", ".layers.*.", each.path)
        common.setdefault((path, repr(each.mine), repr(each.other)), []).append(each)
    result: list[Difference] = []
    for (path, _, _), group in common.items():
        first = group[0]
        is_everywhere = path != first.path and len(group) == n_layers[path.split(".")[1]]
        result += [Difference(path, first.mine, first.other, len(group))] if is_everywhere else group
    return sorted(result, key=lambda each: not each.is_of_form)


def with_parts_of(one: Any, other: Any, *, kept: Container[str] = (), path: str = "model") -> Any:
    """The first of two canonical specs with every part whose form is another taken from the second.

    kept are the paths of differences that stay, as `differences_of` says them.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        if one.get("type") != other.get("type"):
            return one if f"{path}.type" in kept else other
        keys = {**one, **other}
        return {
            key: with_parts_of(one.get(key), other.get(key), kept=kept, path=f"{path}.{key}") for key in keys
        }
    if isinstance(one, list) and isinstance(other, list) and path.endswith(".layers"):
        pairs = zip(one, other, strict=False)
        return [with_parts_of(mine, its, kept=kept, path=f"{path}.*") for mine, its in pairs]
    return other if (one is None or other is None) and path not in kept else one


def _of_one_length(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Both with as many layers as the shorter stack of a name has, for their number is a difference of its own."""
    stacks = [name for name in ("encoder", "decoder") if name in one and name in other]
    n_layers = {name: min(len(each[name]["layers"]) for each in (one, other)) for name in stacks}
    for each in (one, other):
        cut = {name: {**each[name], "layers": each[name]["layers"][:n]} for name, n in n_layers.items()}
        yield {**each, **cut}


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("type", "a mapping"))
    return "null" if value is None else repr(value)
