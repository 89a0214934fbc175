"""Rotary positions of configs: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` (before)."""

from __future__ import annotations

import math
from typing import Any

from zoo.interop.config import Config, shown


def rotary_spec(
    config: Config,
    *,
    base: float,
    max_len: int,
    original_len: int | None = None,
    fraction: float = 1.0,
    is_partial: bool = False,
) -> dict[str, Any]:
    """The rotary positions of a config; base, max_len and original_len are transformers' defaults of rope_theta,
    max_position_embeddings and original_max_position_embeddings, which may stand beside a longrope too. fraction is the
    share of a head that turns, is_partial whether the field partial_rotary_factor may say another one."""
    length = config.integer("max_position_embeddings", max_len)
    theta = config.number("rope_theta", base)
    if is_partial:
        fraction = config.number("partial_rotary_factor", fraction)
    parts = [config.part(name) for name in ("rope_scaling", "rope_parameters")]
    found = [
        part_spec(part, theta, length, fraction, is_partial, beside=config, original_len=original_len)
        for part in parts
        if part is not None and part.data
    ]
    if not found:
        return {"type": "rotary", "base": theta, "fraction": fraction}
    if any(each != found[-1] for each in found):
        config.refuse("rope_scaling", "it stands beside rope_parameters, which says something else")
    return found[-1]


def part_spec(
    part: Config,
    theta: float,
    length: int,
    fraction: float = 1.0,
    is_partial: bool = False,
    *,
    beside: Config | None = None,
    original_len: int | None = None,
) -> dict[str, Any]:
    """The rotary positions of a part of a config that says them, with the defaults of what it leaves out; beside it is
    the config, for a longrope."""
    if is_partial:
        fraction = part.number("partial_rotary_factor", fraction)
    spec: dict[str, Any] = {
        "type": "rotary",
        "base": part.number("rope_theta", theta),
        "fraction": fraction,
    }
    part.only("partial_rotary_factor", fraction, reason=f" where {fraction:g} of a head turns")
    name = "rope_type" if "rope_type" in part else "type"
    kind = part.text(name, "default")
    if name == "rope_type":
        part.only("type", kind)
    if kind in ("longrope", "su"):  # su: Phi-3's older name
        spec["scaling"] = _longrope(part, length, beside or part, original_len)
    elif kind != "default":
        spec["scaling"] = _scaling(part, name, kind, length)
    return spec


def _scaling(part: Config, name: str, kind: str, length: int) -> dict[str, Any]:
    if kind not in ("linear", "dynamic", "yarn", "llama3"):
        part.refuse(
            name, f"'{kind}' cannot be represented; known: default, linear, dynamic, yarn, llama3, longrope"
        )
    if kind == "linear":
        return {"type": "linear", "factor": _needed(part, "factor")}
    if kind == "dynamic":
        return {"type": "dynamic_ntk", "factor": _needed(part, "factor"), "original_max_len": length}
    original = part.integer("original_max_position_embeddings", length)
    if kind == "llama3":
        return {
            "type": "llama3",
            "factor": _needed(part, "factor"),
            "original_max_len": original,
            "low_freq_factor": _needed(part, "low_freq_factor"),
            "high_freq_factor": _needed(part, "high_freq_factor"),
        }
    mscale, mscale_all_dim = part.number("mscale", None), part.number("mscale_all_dim", None)
    factor = part.number("attention_factor", None)
    has_both = factor is None and mscale and mscale_all_dim
    return {
        "type": "yarn",
        "factor": part.number("factor", None) or length / original,
        "original_max_len": original,
        "attention_factor": factor,
        "beta_fast": part.number("beta_fast", None) or 32.0,
        "beta_slow": part.number("beta_slow", None) or 1.0,
        "mscale": mscale if has_both else None,
        "mscale_all_dim": mscale_all_dim if has_both else None,
        "truncate": part.boolean("truncate", True),
    }


def _longrope(part: Config, length: int, config: Config, original_len: int | None) -> dict[str, Any]:
    """A factor for each pair and range of lengths; transformers reads the border beside the part first."""
    own = part.integer("original_max_position_embeddings", None)
    original = config.integer("original_max_position_embeddings", None) or original_len or own or length
    factor, growth = part.number("factor", None), part.number("attention_factor", None)
    factor = length / original if factor is None else factor
    if growth is None:
        growth = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    spec = {"type": "longrope", "original_max_len": original, "attention_factor": growth}
    for ours in ("short", "long"):
        numbers = part.value(f"{ours}_factor", None)
        if not isinstance(numbers, list | tuple) or not all(type(each) in (int, float) for each in numbers):
            part.refuse(f"{ours}_factor", f"must be a list of numbers, got {shown(numbers)}")
        spec[ours] = [float(each) for each in numbers]
    return spec


def _needed(part: Config, name: str) -> float:
    value = part.number(name, None)
    if value is None:
        part.refuse(name, "this field is missing")
    return value


def rotary_config(position: Any) -> dict[str, Any]:
    """The fields that say rotary positions of a spec, in the older form, which every version of transformers reads."""
    scaling = position.scaling
    if scaling is None:
        return {"rope_theta": position.base, "rope_scaling": None}
    if scaling.type == "longrope":
        original = {"original_max_position_embeddings": scaling.original_max_len}
        said = {
            "rope_type": "longrope",
            **{f"{name}_factor": list(getattr(scaling, name)) for name in ("short", "long")},
            "attention_factor": scaling.attention_factor,
            **original,
        }
        return {"rope_theta": position.base, "rope_scaling": said, **original}
    fields: dict[str, Any] = {"factor": scaling.factor}
    if scaling.type == "dynamic_ntk":
        return {
            "rope_theta": position.base,
            "rope_scaling": {"rope_type": "dynamic", **fields},
            "max_position_embeddings": scaling.original_max_len,
        }
    if scaling.type == "llama3":
        fields |= {"low_freq_factor": scaling.low_freq_factor, "high_freq_factor": scaling.high_freq_factor}
    if scaling.type == "yarn":
        names = ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate")
        fields |= {name: getattr(scaling, name) for name in names if getattr(scaling, name) is not None}
    if scaling.type in ("llama3", "yarn"):
        fields["original_max_position_embeddings"] = scaling.original_max_len
    return {"rope_theta": position.base, "rope_scaling": {"rope_type": scaling.type, **fields}}
