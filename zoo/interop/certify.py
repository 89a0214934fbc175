"""Proof that a family's mapping is exact: random models of its library against ours, number by number."""

from __future__ import annotations

import copy
import inspect
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import presets
from registry import differences, parse
from zoo.amounts import amount
from zoo.assembly.build import build, n_parameters
from zoo.interop.canonical import canonical
from zoo.interop.family import Family, Published, family_named
from zoo.interop.hugging_face import (
    export,
    from_hf,
    imported_transformers,
    reference_class,
    reference_config,
    silenced,
    to_hf,
)
from zoo.interop.matching import config_of, spec_of
from zoo.interop.rules import Either
from zoo.interop.transfer import by_rules_names, fill
from zoo.interop.trial import Trial, token_trial
from zoo.kinds import DECODING, MODEL
from zoo.storage.tensors import Held

LOGITS_BAR = 2e-5
"""Largest difference of an output allowed, relative to the reference's largest."""
GRADIENT_BAR = 1e-4
"""The same for the gradient of each weight, relative to the reference's largest for that weight."""
GRADIENT_FLOOR = 1e-3
"""A weight whose gradient is smaller than this share of the model's largest is measured against that share. A bias is
measured against its matrix as well: that of a key, which moves all scores of a query alike, has only rounding."""
_STD = 0.3  # large enough that no part of a model can be left out unnoticed
_NEW_TOKENS = 8


@dataclass
class Certificate:
    """What was compared, the largest errors found, and what was wrong, if anything."""

    family: str
    reference: str
    """Name and version of the library compared with; a module of ours where transformers has no such models."""
    attention: str = "eager"
    """Its implementation of attention."""
    n_configs: int = 0
    n_seeds: int = 0
    n_batches: int = 0
    paddings: tuple[str, ...] = ()
    """Sides on which batches were padded."""
    n_generations: int = 0
    n_searches: int = 0
    """Beam searches compared."""
    logits_error: float = 0.0
    gradient_error: float = 0.0
    parameters: dict[str, int] = field(default_factory=dict)
    """Of each published model, by its preset or its own name."""
    failures: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The certificate in words, a line for each statement."""
        search = f", beam search the same for {self.n_searches} outputs" if self.n_searches else ""
        padded = f"padding: {', '.join(self.paddings)}"
        lines = [
            f"{self.family} against {self.reference}, float32, {self.attention} attention",
            f"{amount(self.n_configs, 'config')} x {amount(self.n_seeds, 'seed')}, {self.n_batches} batches, {padded}",
            f"largest error of the output    {self.logits_error:.1e}  (allowed {LOGITS_BAR:.0e})",
            f"largest error of a gradient    {self.gradient_error:.1e}  (allowed {GRADIENT_BAR:.0e})",
            "folders written by either are read by both: equal",
        ]
        if self.n_generations:
            lines.append(f"greedy generation: equal token for token, {self.n_generations} times{search}")
        lines += [
            f"{name}: {count:,} parameters, as the reference" for name, count in self.parameters.items()
        ]
        if self.failures:
            return "\n".join([*lines[:2], *(f"FAILED: {failure}" for failure in self.failures)])
        return "\n".join(lines)


def certify(name: str, *, seeds: Sequence[int] = (0, 1, 2)) -> Certificate:
    """Compares a family's small configs with the reference, and its published ones by their number of parameters.

    Needs transformers. Random weights include every norm and bias; only real tokens are compared.
    """
    family = family_named(name)
    found = Certificate(
        family.name,
        _reference_name(family),
        family.attention,
        len(family.examples),
        len(seeds),
        paddings=family.paddings,
    )
    with _one_thread(), silenced():
        _compare_defaults(family, found)
        for i, example in enumerate(family.examples):
            for seed in seeds:
                _compare(family, example, found, seed=1000 * i + seed)
        for published in family.published:
            _compare_published(family, published, found)
    return found


def _reference_name(family: Family) -> str:
    transformers = imported_transformers()
    return f"transformers {transformers.__version__}" if family.library == "transformers" else family.library


def _implementations(family: Family) -> dict[str, str]:
    """How transformers is to compute."""
    return {"attn_implementation": family.attention, "experts_implementation": "eager"}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Models this small are several times faster without threads that wait for each other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def random_reference(family: Family, example: Mapping[str, Any], *, seed: int) -> nn.Module:
    """A model of the family's library of an example's config, every weight random, in eval mode."""
    name = (example.get("architectures") or family.architectures)[0]
    torch.manual_seed(seed)
    model = reference_class(family, name)._from_config(
        reference_config(family, example), dtype=torch.float32, **_implementations(family)
    )
    if family.prepare is not None:
        family.prepare(model, example)
    tables = _tables(family, spec_of(family, {"model_type": family.name, **example}))
    with torch.no_grad():
        for key, tensor in model.state_dict(keep_vars=True).items():
            if tensor.is_floating_point() and key not in tables:
                noise = torch.randn_like(tensor) * _STD
                tensor.copy_(noise if tensor.dim() > 1 else tensor + noise)
    return model.eval()


def _tables(family: Family, spec: Any) -> set[str]:
    """The names of the reference's tensors that are fixed tables."""
    return {
        name
        for rule in family.weights(spec)
        for each in (
            [rule] if not isinstance(rule, Either) else [part for form in rule.forms for part in form]
        )
        if each.table is not None
        for name in each.theirs
    }


def _compare_defaults(family: Family, found: Certificate) -> None:
    """A config that says nothing means what it means to transformers."""
    for architecture in family.architectures:
        said = reference_config(family, {}).to_dict()
        ours = spec_of(family, {"model_type": family.name}, architecture=architecture)
        theirs = spec_of(family, {**said, "architectures": [architecture]})
        if ours != theirs:
            found.failures.append(f"{architecture}: defaults differ: {_first_difference(ours, theirs)}")


def _compare(family: Family, example: Mapping[str, Any], found: Certificate, *, seed: int) -> None:
    reference = random_reference(family, example, seed=seed)
    spec: Any
    spec, model = from_hf(reference)
    where = f"{dict(example)}, seed {seed}"
    random = torch.Generator().manual_seed(seed)
    make = family.trial or token_trial
    # transformers continues prompts from their last column, so only left padding can be compared there.
    searched = [side for side in family.paddings if side != "right" or len(spec.slots) > 1]
    trial = make(spec, searched[seed % len(searched)], random)
    _compare_generation(family, spec, trial, reference, model, found, where)
    for padding in family.paddings:
        trial = make(spec, padding, random)
        found.n_batches += 1
        error = _output_error(trial, reference, model)
        found.logits_error = max(found.logits_error, error)
        if not error <= LOGITS_BAR:
            found.failures.append(f"{where}, padding {padding}: outputs differ by {error:.1e}")
        if error == float("inf"):
            continue  # not even the shapes agree
        gradient, weight = _gradient_error(family, spec, trial, reference, model, random)
        found.gradient_error = max(found.gradient_error, gradient)
        if not gradient <= GRADIENT_BAR:
            found.failures.append(
                f"{where}, padding {padding}: gradients of {weight} differ by {gradient:.1e}"
            )
    _compare_export(family, spec, model, reference, make(spec, "none", random), found, where)


def _ours(model: nn.Module, trial: Trial) -> Tensor:
    output: Tensor = model(*trial.ours, **trial.ours_named)
    return output if trial.real is None else output[trial.real]


def _theirs(reference: nn.Module, trial: Trial) -> Tensor:
    known = inspect.signature(reference.forward).parameters
    given = {key: value for key, value in trial.theirs.items() if key != "position_ids" or key in known}
    if "use_cache" in known:
        given["use_cache"] = False
    result = reference(**given)
    names = (
        "logits",
        "text_embeds",
        "image_embeds",
        "pooler_output",
        "prediction_outputs",
        "last_hidden_state",
    )
    found = (getattr(result, name, None) for name in names)
    output: Tensor = next(tensor for tensor in found if tensor is not None)
    output = output if trial.as_ours is None else trial.as_ours(output)
    return output if trial.real is None else output[trial.real]


@torch.no_grad()
def _output_error(trial: Trial, reference: nn.Module, model: nn.Module) -> float:
    ours, theirs = _ours(model, trial), _theirs(reference, trial)
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _gradient_error(
    family: Family, spec: Any, trial: Trial, reference: nn.Module, model: nn.Module, random: torch.Generator
) -> tuple[float, str]:
    """The largest relative difference between gradients of a cross-entropy, and the weight that has it."""
    model.zero_grad()
    reference.zero_grad()
    ours, theirs = _ours(model, trial).flatten(0, -2), _theirs(reference, trial).flatten(0, -2)
    labels = torch.randint(ours.shape[-1], ours.shape[:1], generator=random)
    F.cross_entropy(ours, labels).backward()
    F.cross_entropy(theirs, labels).backward()
    tables = _tables(family, spec)
    gradients: dict[str, Tensor] = {
        name: buffer for name, buffer in reference.state_dict().items() if name not in tables
    }
    for name, parameter in reference.named_parameters(remove_duplicate=False):
        if name not in tables:
            gradients[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    expected = build(spec, device="meta")
    given = {name: Held(tensor) for name, tensor in gradients.items()}
    rules = family.weights(spec)
    named = by_rules_names(family, rules, given)
    fill(expected, rules, named, where="gradients", dtype=None, ignored=family.ignored)
    pairs = {
        name: (torch.zeros_like(mine) if mine.grad is None else mine.grad, theirs.detach())
        for (name, mine), theirs in zip(model.named_parameters(), expected.parameters(), strict=True)
    }
    sizes = {name: float(theirs.abs().max()) for name, (_, theirs) in pairs.items()}
    floor = GRADIENT_FLOOR * max(sizes.values())
    errors = {}
    for name, (mine, theirs) in pairs.items():
        scale = max(sizes[name], sizes.get(name.removesuffix("bias") + "weight", 0.0), floor)
        errors[name] = float((mine - theirs).abs().max()) / scale
    worst = max(errors, key=errors.__getitem__)
    return errors[worst], worst


def _compare_generation(
    family: Family,
    spec: Any,
    trial: Trial,
    reference: nn.Module,
    model: nn.Module,
    found: Certificate,
    where: str,
) -> None:
    """Greedy search, and beam search where the family asks for it, by either library."""
    if spec.writes is None or spec.head.type != "language_model":
        return
    vocab_size = _logits_size(model)
    end = vocab_size - 1
    for _ in range(2):
        theirs = _generated(
            copy.deepcopy(reference), trial, end, beams=1
        )  # a copy, for dynamic rotary scaling remembers
        ours = _searched(model, trial, end, {"type": "greedy", "max_length": _NEW_TOKENS})
        found.n_generations += 1
        if ours != theirs:
            found.failures.append(f"{where}: greedy search writes {ours}, the reference {theirs}")
        end = (
            theirs[0][min(2, len(theirs[0]) - 1)] if theirs[0] else 0
        )  # the second time some output ends early
    if family.beam:
        _compare_beam(family, trial, reference, model, found, where)


def _compare_beam(
    family: Family, trial: Trial, reference: nn.Module, model: nn.Module, found: Certificate, where: str
) -> None:
    """Outputs of which some end, and others are cut off at the maximum length."""
    n = 3 * _NEW_TOKENS
    settings = {"beam_size": family.beam, "stop": "estimate", "length_penalty": "power", "max_length": n}
    for end in dict.fromkeys(
        _generated(reference, trial, 0, beams=1)[0]
    ):  # likely words, so that outputs end
        theirs = _generated(reference, trial, end, beams=family.beam, n=n)
        if all(len(tokens) >= n // 2 for tokens in theirs):
            continue
        ours = _searched(model, trial, end, {"type": "beam", **settings, "at_limit": "cut"})
        found.n_searches += len(theirs)
        if wrong := [i for i, tokens in enumerate(theirs) if ours[i] != tokens]:
            text = f"beam search writes {ours[wrong[0]]}, the reference {theirs[wrong[0]]}"
            found.failures.append(f"{where}: {text}")
        return


def _logits_size(model: Any) -> int:
    return int(model.head.weight.shape[0])


def _generated(
    reference: Any, trial: Trial, end: int, *, beams: int, n: int = _NEW_TOKENS
) -> list[list[int]]:
    """What transformers writes, without prompt, begin and end."""
    from transformers import GenerationMixin

    given = {
        key: value for key, value in trial.theirs.items() if key not in ("position_ids", "decoder_input_ids")
    }
    is_decoder = not reference.config.is_encoder_decoder
    settings: dict[str, Any] = {
        "do_sample": False,
        "num_beams": beams,
        "max_new_tokens": n,
        "pad_token_id": 0,
    }
    if beams > 1:
        settings |= {"length_penalty": 1.0, "early_stopping": False}
    if not is_decoder:
        settings["decoder_start_token_id"] = 1
    with torch.no_grad():
        rows = GenerationMixin.generate(reference, **given, **settings, eos_token_id=end)
    first = trial.ours[0].shape[1] if is_decoder else 1
    written = [row[first:].tolist() for row in rows]
    return [tokens[: tokens.index(end)] if end in tokens else tokens for tokens in written]


def _searched(model: nn.Module, trial: Trial, end: int, strategy: Mapping[str, Any]) -> list[list[int]]:
    """What our search writes."""
    ids = {"pad": 0, "start": 1, "end": end, "never": []}
    spec = DECODING.entry(strategy["type"]).spec.model_validate({**strategy, "ids": ids})
    mask = trial.ours_named.get("source_mask", trial.ours_named.get("mask"))
    tokens = trial.ours_named.get("global_tokens")
    if tokens is not None:  # a search tells an encoder of none
        told: Any = copy.copy(model)
        told.encode_masked = partial(told.encode_masked, global_tokens=tokens)
        model = told
    return [hypotheses[0].tokens for hypotheses in DECODING.build(spec)(model, trial.ours[0], mask)]


def _compare_export(
    family: Family,
    spec: Any,
    model: nn.Module,
    reference: nn.Module,
    trial: Trial,
    found: Certificate,
    where: str,
) -> None:
    """Through folders that we write and that transformers writes, read by both; and to a live model."""
    plain = _implementations(family)
    with tempfile.TemporaryDirectory() as temporary:
        ours, theirs = Path(temporary) / "ours", Path(temporary) / "theirs"
        export(spec, model, ours, family=family.name, fields=trial.fields)
        reference.save_pretrained(theirs)  # type: ignore[operator]
        for folder, writer in ((ours, "us"), (theirs, "transformers")):
            again, twin = from_hf(folder)
            if canonical(again) != canonical(spec):
                found.failures.append(f"{where}: read from a folder written by {writer}, the spec is another")
            elif wrong := _unequal(model, twin):
                found.failures.append(f"{where}: read from a folder written by {writer}, {wrong} is another")
        read = type(reference).from_pretrained(ours, dtype=torch.float32, **plain).eval()  # type: ignore[attr-defined]
    live = to_hf(spec, model, family=family.name, fields=trial.fields)
    for key, value in plain.items():
        getattr(live, f"set_{key}")(value)
    with torch.no_grad():
        expected = _theirs(reference, trial)
        for name, other in (("the exported folder", read), ("to_hf", live)):
            error = float((_theirs(other, trial) - expected).abs().max() / expected.abs().max())
            if not error <= 1e-6:
                found.failures.append(f"{where}: transformers' model of {name} differs by {error:.1e}")


def _unequal(one: nn.Module, other: nn.Module) -> str:
    """The first tensor in which two models of one spec differ, or nothing."""
    theirs = other.state_dict()
    return next((name for name, mine in one.state_dict().items() if not torch.equal(mine, theirs[name])), "")


def _compare_published(family: Family, published: Published, found: Certificate) -> None:
    """The published config has the reference's number of parameters, and the preset, where there is one, is it."""
    config = {"model_type": family.name, **published.config}
    spec = spec_of(family, config)
    if published.preset is not None:
        own = (
            spec if published.preset_as is None else spec_of(family, config, architecture=published.preset_as)
        )
        _compare_preset(family, published, published.preset, own, found)
    architecture = (published.config.get("architectures") or family.architectures)[0]
    with torch.device("meta"):
        reference = reference_class(family, architecture)(reference_config(family, published.config))
        if family.prepare is not None:
            family.prepare(reference, published.config)
    tables = _tables(family, spec)
    theirs_count = sum(p.numel() for name, p in reference.named_parameters() if name not in tables)
    ours_count = n_parameters(build(spec, device="meta"))
    found.parameters[published.name] = ours_count
    if ours_count != theirs_count:
        found.failures.append(
            f"{published.name}: {ours_count:,} parameters, the reference has {theirs_count:,}"
        )


def _compare_preset(family: Family, published: Published, name: str, spec: Any, found: Certificate) -> None:
    """A preset is what a published config gives, and is written as its family."""
    data = presets.read(name).data["model"]
    preset: Any = parse(MODEL.entry(data["type"]).spec, data, path="model")
    mine, theirs = canonical(preset), canonical(spec)
    if mine != theirs or preset.initialization != spec.initialization:
        where = _first_difference(mine, theirs) or "initialization"
        found.failures.append(f"preset {name} is not {published.source}: {where}")
    if config_of(preset, family.name)[0] is not family:
        found.failures.append(f"preset {name} is not written as {family.name}")


def _first_difference(one: Any, other: Any) -> str:
    for path, mine, its in (each.of_type() for each in differences(one, other, "model")):
        return f"{path} is {mine!r}, not {its!r}"
    return ""
