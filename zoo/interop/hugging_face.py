"""Models from transformers and to transformers: live ones, and folders, which need no transformers at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry import Problem, Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.interop.checkpoint import CONFIG_FILE, read_config, read_tensors, write_folder
from zoo.interop.config import Config
from zoo.interop.family import Family, family_named
from zoo.interop.matching import canonical, config_of, spec_of
from zoo.interop.transfer import Held, Readable, by_rules_names, fill, promised
from zoo.kinds import DECODING

SHARD_BYTES = 5_000_000_000


def from_hf(
    source: Any,
    *,
    architecture: str | None = None,
    dtype: torch.dtype | None = None,
    ignore: Sequence[str] = (),
) -> tuple[Spec, nn.Module]:
    """A model of transformers, live or in a local folder, as a spec and a model of ours, on the CPU and in eval mode.

    A folder holds config.json and safetensors; nothing in it is executed or unpickled, nothing is downloaded. Tensors
    are read one by one and copied: peak memory is that of the model.

    architecture names the class of transformers where the config names none or another one. dtype converts the weights;
    None leaves them in the dtype they have, which must be one. ignore lists fields of the config that change nothing.
    Raises: SpecError for a config that cannot be represented exactly, the field named; RunError for a folder that is
    missing, incomplete, damaged or holds pickles only; DataError where the tensors are not those of the config.
    """
    opened = _opened(source)
    family = family_named(opened.config.get("model_type"), opened.where_config)
    spec = spec_of(family, opened.config, where=opened.where_config, architecture=architecture, ignore=ignore)
    model = build(spec, device="meta")
    rules = family.weights(spec)
    given = by_rules_names(family, rules, opened.tensors())
    fill(model, rules, given, where=opened.where, dtype=dtype, ignored=family.ignored)
    return spec, model.eval()


def generation_of(source: Any, spec: Spec) -> Spec | None:
    """How a model that `from_hf` gave is searched, by the token ids of its config; None for one that writes nothing.

    Raises: SpecError for ids that our searches cannot take, such as several ends.
    """
    opened = _opened(source)
    family = family_named(opened.config.get("model_type"), opened.where_config)
    head: Any = getattr(spec, "head", None)
    if family.generation is None or head.type != "language_model":
        return None
    data = family.generation(Config(opened.config, where=opened.where_config))
    return parse(DECODING.entry(data["type"]).spec, data, path="generation")


def to_hf(
    spec: Spec, model: nn.Module, *, family: str | None = None, fields: Mapping[str, Any] | None = None
) -> Any:
    """A model of ours as one of transformers, in eval mode, with copies of the weights.

    family names the model type where several could hold the spec. fields are put into its config besides: those that do
    not change the model, such as token ids and labels. Needs transformers.
    Raises: SpecError where no family writes this spec exactly, with the first key in the way.
    """
    transformers = imported_transformers()
    found, config, own = config_of(spec, family)
    config = _with_fields(found, config, own, fields)
    state = {name: tensor.make().clone() for name, tensor in promised(model, found.weights(own)).items()}
    dtypes = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    with silenced():
        result, report = getattr(transformers, config["architectures"][0]).from_pretrained(
            None,
            config=reference_config(found, config),
            state_dict=state,
            dtype=dtypes.pop(),
            output_loading_info=True,
        )
    wrong = {key: sorted(map(str, names)) for key, names in report.items() if names}
    assert not wrong, f"transformers does not take what the {found.name} mapping writes: {wrong}"
    return result.eval()


def export(
    spec: Spec,
    model: nn.Module,
    folder: str | Path,
    *,
    family: str | None = None,
    fields: Mapping[str, Any] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> str:
    """Writes a folder that transformers reads: config.json and safetensors; returns the family's name.

    family and fields are those of `to_hf`. Needs no transformers. The weights are streamed, in shards of at most
    shard_bytes, and the folder appears whole or not at all.
    Raises: SpecError as `to_hf`; RunError for a folder that is not empty or cannot be written.
    """
    found, config, own = config_of(spec, family)
    config = _with_fields(found, config, own, fields)
    tensors = promised(model, found.weights(own))
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    config = {**config, "dtype": dtypes.pop()} if len(dtypes) == 1 else config
    write_folder(Path(folder), config, tensors, shard_bytes=shard_bytes)
    return found.name


def _with_fields(
    family: Family, config: Mapping[str, Any], spec: Any, fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A config with further fields. Raises: SpecError for fields that make it another model's."""
    found = {**config, **(fields or {})}
    if fields and canonical(spec_of(family, found, where="fields")) != canonical(spec):
        changed = ", ".join(name for name in fields if name in config) or ", ".join(fields)
        raise SpecError(
            [Problem("fields", f"these change what the model computes: {changed}; change the spec instead")]
        )
    return found


def imported_transformers() -> Any:
    """The library. Raises: SpecError where it is not installed."""
    try:
        import transformers
    except ModuleNotFoundError:
        message = (
            "transformers is not installed; live models need it: pip install 'architecture-zoo[transformers]'"
        )
        raise SpecError([Problem("", message)]) from None
    return transformers


@contextmanager
def silenced() -> Iterator[None]:
    """Keeps transformers from reporting its progress and from warnings about token ids."""
    from transformers.utils import logging

    level, was_shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if was_shown:
            logging.enable_progress_bar()


def reference_config(family: Family, config: Mapping[str, Any]) -> Any:
    """transformers' config object of a family for the fields of a config.json."""
    from transformers import AutoConfig

    fields = {
        name: copy.deepcopy(value) for name, value in config.items() if name != "model_type"
    }  # it changes them
    return AutoConfig.for_model(family.name, **fields)


@dataclass(frozen=True)
class _Source:
    """A model of transformers to be read."""

    config: dict[str, Any]
    where: str
    """Its name, for messages."""
    where_config: str
    tensors: Callable[[], Mapping[str, Readable]]


def _opened(source: Any) -> _Source:
    if isinstance(source, str | Path):
        folder = Path(source)
        return _Source(
            read_config(folder), str(folder), str(folder / CONFIG_FILE), lambda: read_tensors(folder)
        )
    if not isinstance(source, nn.Module) or not hasattr(getattr(source, "config", None), "to_dict"):
        raise ValueError(f"a folder or a live model of transformers is needed, not a {type(source).__name__}")
    live: Any = source
    name = type(live).__name__
    held = {key: Held(tensor) for key, tensor in live.state_dict().items()}
    return _Source({**live.config.to_dict(), "architectures": [name]}, name, f"{name}.config", lambda: held)
