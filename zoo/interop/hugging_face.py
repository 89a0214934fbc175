"""Models from transformers and to transformers: live ones, and folders, which need no transformers at all."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry import Problem, Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.errors import DataError
from zoo.interop.canonical import canonical
from zoo.interop.checkpoint import (
    CONFIG_FILE,
    INDEX_FILE,
    SETTINGS_FILE,
    WEIGHTS_FILE,
    read_config,
    read_tensors,
    write_folder,
)
from zoo.interop.config import Config
from zoo.interop.family import Family, classes_of, family_of
from zoo.interop.matching import config_of, sizes_by_default, spec_of
from zoo.interop.pickles import read_pickles
from zoo.interop.search_fields import FIELDS, IDS
from zoo.interop.transfer import by_rules_names, fill, fits, promised
from zoo.interop.variants import variant_of
from zoo.interop.writing import ids_of, passed_over, says_length, search_of, settings_of
from zoo.kinds import DECODING
from zoo.storage.records import read_json
from zoo.storage.tensors import Held, Readable

SHARD_BYTES = 5_000_000_000


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def from_hf(
    source: Any,
    *,
    architecture: str | None = None,
    dtype: torch.dtype | None = None,
    ignore: Sequence[str] = (),
    ignore_tensors: Sequence[str] = (),
    unpickle: bool = False,
    say: Callable[[str], None] = _to_stderr,
) -> tuple[Spec, nn.Module]:
    """A model of transformers, live or in a local folder, as a spec and a model of ours, on the CPU and in eval mode.

    A folder holds config.json and safetensors; nothing in it is executed, nothing is downloaded, and nothing is
    unpickled but by torch.load(weights_only=True), where unpickle asks for it and there are no safetensors. Their
    tensors are read one by one and copied: peak memory is that of the model.

    architecture names the class of transformers where the config names none or another one. dtype converts the weights;
    None leaves them in the dtype they have, which must be one. ignore lists fields of the config that change nothing,
    ignore_tensors names, with * and ?, of tensors to be left out. say is given what was left out, made anew or read
    as something else, a line for each.
    Raises: SpecError for a config that cannot be represented exactly, the field named; RunError for a folder that is
    missing, incomplete, damaged or holds pickles only; DataError where the tensors are not those of the config.
    """
    opened = _opened(source, unpickle=unpickle)
    family = family_of(opened.config, architecture, opened.where_config)
    spec_by = partial(
        spec_of, family, opened.config, where=opened.where_config, architecture=architecture, ignore=ignore
    )
    spec, tensors = spec_by(), opened.tensors()
    for name in [architecture] if architecture else classes_of(opened.config):
        if name in family.read_as:
            say(f"{opened.where_config}: {name} is read as {family.read_as[name]}")
    rules = family.weights(spec)
    given = by_rules_names(family, rules, tensors)
    variant = variant_of(rules, given, dtype)
    if (other := spec_by(variant=variant)) != spec:
        spec, rules = other, family.weights(other)
        given = by_rules_names(family, rules, tensors)
        for name in sorted(variant.own_tables):
            say(
                f"{opened.where}: {name!r} holds rounded sinusoids; they are kept, as positions that can be trained"
            )
    model = build(spec, device="meta")
    by_default = sizes_by_default(family, opened.config, architecture=architecture)
    lacking = f"{opened.where_config}: it lacks {', '.join(by_default)}, for which transformers' defaults are read: "
    lacking += ", ".join(map(str, by_default.values()))
    try:
        remarks = fill(
            model,
            rules,
            given,
            where=opened.where,
            dtype=dtype,
            ignored=family.ignored,
            left_out=ignore_tensors,
            others=partial(_other_classes, family, opened.config, spec_by, tensors, architecture),
        )
    except DataError as error:
        raise DataError(f"{error}\n{lacking}" if by_default else str(error)) from None
    for remark in [lacking] * bool(by_default) + remarks:
        say(remark)
    return spec, model.eval()


def _other_classes(
    family: Family,
    config: Mapping[str, Any],
    spec_by: Callable[..., Any],
    tensors: Mapping[str, Readable],
    architecture: str | None,
) -> list[str]:
    """The further classes of a family that these tensors are a whole model of."""
    found = []
    for name in family.architectures:
        if name == family.architecture(config, architecture, ""):
            continue
        try:
            spec = spec_by(architecture=name)
        except SpecError:
            continue
        rules = family.weights(spec)
        if fits(build(spec, device="meta"), rules, by_rules_names(family, rules, tensors)):
            found.append(name)
    return found


def generation_of(
    source: Any, spec: Spec, *, architecture: str | None = None, say: Callable[[str], None] = _to_stderr
) -> Spec | None:
    """How a model that `from_hf` gave is searched, by generation_config.json or else by config.json.

    None for one that writes nothing. say is given a line with the settings that no search of ours has.
    Raises: SpecError for settings that cannot be, such as no end.
    """
    opened = _opened(source)
    family = family_of(opened.config, architecture, opened.where_config)
    if family.writing is None or spec.head.type != "language_model":  # type: ignore[attr-defined]
        return None
    config, settings = Config(opened.config, where=opened.where_config), None
    if opened.settings is not None:
        settings = Config(opened.settings, where=opened.where_settings)
        if passed := passed_over(config, settings):
            text = (
                f"{opened.where_config}: not read, as {SETTINGS_FILE} stands beside it: {', '.join(passed)}"
            )
            say(text)
    data, left_out = search_of(family.writing, config, settings, spec)
    if noted := [*config.noted, *([] if settings is None else settings.noted)]:
        raise SpecError(noted)
    where = opened.where_config if settings is None else opened.where_settings
    if not says_length(config if settings is None else settings):
        text = "it does not say how long an output may become; transformers stops after 20 tokens, this search after"
        say(f"{where}: {text} {data['max_length']}")
    if left_out:
        say(f"{where}: a search of ours cannot express {', '.join(left_out)}; it is searched without")
    return parse(DECODING.entry(data["type"]).spec, data, path="generation")


def to_hf(
    spec: Spec, model: nn.Module, *, family: str | None = None, fields: Mapping[str, Any] | None = None
) -> Any:
    """A model of ours as one of transformers, in eval mode, with copies of the weights.

    family names the model type where several could hold the spec. fields are put into its config besides: those that do
    not change the model, such as token ids and labels. Needs transformers.
    Raises: SpecError where no family writes this spec exactly, with every key in the way.
    """
    imported_transformers()
    found, config, own = config_of(spec, family)
    config = _with_fields(found, config, fields)
    state = {name: tensor.make().clone() for name, tensor in promised(model, found.weights(own)).items()}
    dtypes = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    class_ = reference_class(found, config["architectures"][0])
    with silenced():
        result, report = class_.from_pretrained(
            None,
            config=reference_config(found, config),
            state_dict=state,
            dtype=dtypes.pop(),
            output_loading_info=True,
            **_without_pooler(class_, spec),
        )
    wrong = {key: sorted(map(str, names)) for key, names in report.items() if names}
    if missing := [name for name in wrong.pop("missing_keys", []) if not _is_ignored(name, found)]:
        wrong["missing_keys"] = missing
    assert not wrong, f"transformers does not take what the {found.name} mapping writes: {wrong}"
    return result.eval()


def _is_ignored(name: str, family: Family) -> bool:
    """Whether a tensor of theirs means nothing here, such as a pooler that a class has and does not read."""
    return any(re.search(pattern, name) for pattern in family.ignored)


def _without_pooler(class_: Any, spec: Any) -> dict[str, bool]:
    """The argument by which a class of transformers leaves out a pooler that our model has not."""
    if "add_pooling_layer" not in inspect.signature(class_).parameters:
        return {}
    return {"add_pooling_layer": spec.head.type != "none"}


def export(
    spec: Spec,
    model: nn.Module,
    folder: str | Path,
    *,
    family: str | None = None,
    fields: Mapping[str, Any] | None = None,
    generation: Spec | None = None,
    shard_bytes: int = SHARD_BYTES,
    say: Callable[[str], None] = _to_stderr,
) -> str:
    """Writes a folder that transformers reads: config.json and safetensors; returns the family's name.

    family and fields are those of `to_hf`. generation is how the model is searched, which generation_config.json then
    says; say is given a line with the keys of it that transformers has not.
    Needs no transformers. The weights are streamed, in shards of at most shard_bytes, and the folder appears whole or
    not at all.
    Raises: SpecError as `to_hf`; RunError for a folder that is not empty or cannot be written.
    """
    found, config, own = config_of(spec, family)
    settings = None
    if generation is not None and found.writing is not None:
        settings, left_out = settings_of(found.writing, generation, own)
        settings |= {name: value for name, value in (fields or {}).items() if name in IDS or name in FIELDS}
        fields = {**ids_of(generation, own), **(fields or {})}
        if left_out:
            say(f"{folder}: {SETTINGS_FILE} cannot say of generation: {', '.join(left_out)}")
    config = _with_fields(found, config, fields)
    tensors = promised(model, found.weights(own))
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    config = {**config, "dtype": dtypes.pop()} if len(dtypes) == 1 else config
    write_folder(Path(folder), config, tensors, settings=settings, shard_bytes=shard_bytes)
    return found.name


def _with_fields(
    family: Family, config: Mapping[str, Any], fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A config with further fields. Raises: SpecError for fields that make it another model's."""
    found = {**config, **(fields or {})}
    if fields and canonical(spec_of(family, found, where="fields")) != canonical(spec_of(family, config)):
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


def reference_class(family: Family, name: str) -> Any:
    """The class of that name which a live model of a family is of."""
    imported_transformers()
    return getattr(importlib.import_module(family.library), name)


def reference_config(family: Family, config: Mapping[str, Any]) -> Any:
    """A family's config object of transformers' kind for the fields of a config.json."""
    fields = {
        name: copy.deepcopy(value) for name, value in config.items() if name != "model_type"
    }  # it changes them
    return reference_class(family, family.architectures[0]).config_class(**fields)


@dataclass(frozen=True)
class _Source:
    """A model of transformers to be read."""

    config: dict[str, Any]
    where: str
    """Its name, for messages."""
    where_config: str
    tensors: Callable[[], Mapping[str, Readable]]
    settings: dict[str, Any] | None
    """generation_config.json, where there is one."""
    where_settings: str


def _opened(source: Any, *, unpickle: bool = False) -> _Source:
    if isinstance(source, str | Path):
        folder = Path(source)
        needs_pickles = unpickle and not any((folder / name).exists() for name in (WEIGHTS_FILE, INDEX_FILE))
        return _Source(
            read_config(folder),
            str(folder),
            str(folder / CONFIG_FILE),
            partial(read_pickles if needs_pickles else read_tensors, folder),
            read_json(folder / SETTINGS_FILE) if (folder / SETTINGS_FILE).exists() else None,
            str(folder / SETTINGS_FILE),
        )
    if not isinstance(source, nn.Module) or not hasattr(getattr(source, "config", None), "to_dict"):
        raise ValueError(f"a folder or a live model of transformers is needed, not a {type(source).__name__}")
    live: Any = source
    name = type(live).__name__
    held = {key: Held(tensor) for key, tensor in live.state_dict().items()}
    settings = getattr(live, "generation_config", None)
    return _Source(
        {**live.config.to_dict(), "architectures": [name]},
        name,
        f"{name}.config",
        lambda: held,
        None if settings is None else settings.to_diff_dict(),
        f"{name}.generation_config",
    )
