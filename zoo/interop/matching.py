"""Which family a spec belongs to: the one whose config gives the spec back, key for key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry import Problem, Spec, SpecError, dump, parse
from zoo.interop.config import BOOKKEEPING, FIXED, Config
from zoo.interop.family import Family, families, family_named
from zoo.kinds import MODEL

_WITHOUT_EFFECT = ("initialization", "kernel")
"""Keys that say how a model is begun or computed, not what it computes."""


def spec_of(
    family: Family,
    config: Mapping[str, Any],
    *,
    where: str = "config.json",
    architecture: str | None = None,
    ignore: Sequence[str] = (),
) -> Any:
    """The spec of a config. Raises: SpecError for a config that no spec says exactly, every reason named."""
    reader = Config(config, where=where, architecture=family.architecture(config, architecture, where))
    try:
        data = family.to_spec(reader)
    except SpecError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise SpecError(
            [Problem("", f"its values fit no {family.name} model ({error})", where=where)]
        ) from error
    problems = reader.problems(
        mapping=family.name,
        fixed={**FIXED, **family.fixed},
        bookkeeping=[*BOOKKEEPING, *family.bookkeeping],
        ignore=ignore,
    )
    if problems:
        raise SpecError(problems)
    try:
        return parse(MODEL.entry(data["type"]).spec, data, path="model")
    except SpecError as error:
        raise SpecError(
            [
                Problem(each.path, f"what the config gives is refused: {each.message}", where=where)
                for each in error.problems
            ]
        ) from None


def config_of(spec: Any, name: str | None = None) -> tuple[Family, dict[str, Any], Any]:
    """The family a spec belongs to, its config.json, and the spec as that family writes it.

    Raises: SpecError where no family, or not the one named, can write it exactly; the first key that differs is named.
    """
    wanted = canonical(spec)
    nearest: list[tuple[int, int, str, _Difference]] = []
    for family in [family_named(name)] if name else families():
        written = _written(family, spec)
        if written is None:
            found = min((_unlike(family, example, wanted) for example in family.examples), key=len)
        else:
            found = sorted(_differences(wanted, canonical(written[1])), key=lambda each: not each.is_of_form)
            if not found:
                return family, *written
        if found:
            nearest.append((written is None, len(found), family.name, found[0]))
    if not nearest:
        raise SpecError([Problem("model", f"its numbers fit no config of {name or 'a known family'}")])
    _, _, family_name, difference = min(nearest, key=lambda each: each[:3])
    which = f"the {family_name} mapping cannot write it" if name else f"the nearest family is {family_name}"
    message = f"no config of transformers says this model exactly; {which}: {difference}"
    raise SpecError([Problem("model", message)])


def _written(family: Family, spec: Any) -> tuple[dict[str, Any], Any] | None:
    """The config by which a family writes a spec, and the spec that this gives; None where it has not the parts."""
    try:
        config = {"model_type": family.name, **family.to_config(spec)}
        return config, spec_of(family, config)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None


def _unlike(family: Family, example: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[_Difference]:
    """In which parts, whatever their numbers, a spec is unlike that of a family's example."""
    other = canonical(spec_of(family, {"model_type": family.name, **example}))
    return [each for each in _differences(wanted, other) if each.is_of_form]


@dataclass(frozen=True)
class _Difference:
    """A key at which two canonical specs differ."""

    path: str
    mine: Any
    other: Any

    @property
    def is_of_form(self) -> bool:
        """Whether a part is another one or missing, rather than a number another."""
        return self.path.endswith("type") or self.mine is None or self.other is None

    def __str__(self) -> str:
        return f"{self.path} is {_short(self.mine)}, and a config of it gives {_short(self.other)}"


def canonical(spec: Spec) -> dict[str, Any]:
    """A model's spec as plain data, equal for specs that compute the same with weights of the same names.

    Layers are written one by one and defaults that follow from other keys are filled in.
    """
    data = dump(spec)
    for name in ("encoder", "decoder"):
        stack = getattr(spec, name, None)
        if stack is None:
            continue
        written = {
            key: value for key, value in data[name].items() if key not in ("n_layers", "layer", "layers")
        }
        layers = [dump(layer) for layer in stack.each_layer()]
        for layer in layers:
            if layer.get("attention_norm", 0) is None:
                layer["attention_norm"] = layer["norm"]
        data[name] = {**written, "position": written["position"] or data["position"], "layers": layers}
    has_own = [name for name in ("encoder", "decoder") if name in data]
    if all(name in data and data[name]["position"] for name in has_own):
        del data["position"]
    return _filled(data, data["d_model"])


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


def _differences(one: Any, other: Any, path: str = "model") -> Iterator[_Difference]:
    """The keys at which two canonical specs differ; of parts of different types only the type."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = ["type"] if one.get("type") != other.get("type") else {**one, **other}
        for key in keys:
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and path.endswith(".layers"):
        if len(one) != len(other):
            yield _Difference(f"the number of {path}", len(one), len(other))
        for i, (mine, its) in enumerate(zip(one, other, strict=False)):
            yield from _differences(mine, its, f"{path}.{i}")
    elif one != other:
        yield _Difference(path, one, other)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("type", "a mapping"))
    return "null" if value is None else repr(value)
