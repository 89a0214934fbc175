"""What every model must do, whatever it is composed of."""

from __future__ import annotations

import copy
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor

from registry import Spec
from zoo.assembly.build import build
from zoo.conformance.trials import B, Law, randomised, require, same, seeded
from zoo.kinds import ModelSpec, mask_name, read_slots

T = 9


def model_laws(spec: Spec) -> list[Law]:
    """Those that apply to this model's spec, by what it reads and writes; use small sizes, for each law builds it."""
    found: list[Law] = [
        outputs_are_finite_and_repeatable,
        parameters_get_finite_gradients,
        the_state_round_trips,
        meta_build_has_the_same_shapes,
    ]
    described: ModelSpec = cast(Any, spec)
    if described.writes is not None and _writable(described.slots[described.writes]):
        found += [the_future_is_hidden, token_by_token_equals_all_at_once]
    if any(hasattr(described.slots[slot], "vocab_size") for slot in read_slots(described)):
        found.append(padding_is_ignored if described.writes is None else padding_of_the_source_is_ignored)
    return found


def _model(spec: Spec) -> Any:
    seeded()
    return randomised(build(spec))


def _inputs(embedding: Any) -> Tensor:
    inputs, _ = embedding.example_inputs(B)
    return inputs.double() if inputs.is_floating_point() else inputs


def _writable(embedding: Any) -> bool:
    """Whether a decoder may write what this embeds, place by place."""
    return hasattr(embedding, "vocab_size") or hasattr(embedding, "values_per_place")


def _per_place(embedding: Any) -> int:
    """Numbers of the input that stand for a place."""
    n: int = getattr(embedding, "values_per_place", 1)
    return n


def _tokens(embedding: Any) -> Tensor:
    """Random inputs of T places: ids, or the numbers of a series."""
    if hasattr(embedding, "vocab_size"):
        return torch.randint(4, embedding.vocab_size, (B, T))
    return torch.randn(B, T * _per_place(embedding), dtype=torch.float64)


def _altered(embedding: Any, tokens: Tensor, first: int) -> Tensor:
    """Tokens that differ in each place from the first on."""
    n, changed = first * _per_place(embedding), tokens.clone()
    changed[:, n:] += 1
    return changed % embedding.vocab_size if hasattr(embedding, "vocab_size") else changed


def _any(embedding: Any) -> Tensor:
    """Random inputs of an embedding, T tokens or whatever it takes."""
    return _tokens(embedding) if _writable(embedding) else _inputs(embedding)


def _given(spec: Any) -> dict[str, Tensor]:
    """Inputs for the model's forward, the same at each call."""
    torch.manual_seed(5)
    is_one = len(spec.slots) == 1  # else what is read has another length than what is written
    return {
        name: _any(embedding) if is_one or name == spec.writes else _inputs(embedding)
        for name, embedding in spec.slots.items()
    }


def outputs_are_finite_and_repeatable(spec: Any) -> None:
    """Two evaluations of one input are finite and the same."""
    model, given = _model(spec), _given(spec)
    out = model(**given)
    require(bool(out.isfinite().all()), "the output has values that are not finite")
    require(torch.equal(out, model(**given)), "two evaluations of one input differ")


def parameters_get_finite_gradients(spec: Any) -> None:
    """Every parameter that is trained gets a gradient, and a finite one, in evaluation or in training."""
    model, given = _model(spec), _given(spec)
    further = {}
    if "global_tokens" in signature(model.hidden).parameters and hasattr(_first(spec), "vocab_size"):
        further["global_tokens"] = torch.arange(T).expand(B, T) == 3
    for is_training in (False, True):  # some parts serve in training only, others may be left out there
        out = model.train(is_training)(**given, **further)
        (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"{name} gets no gradient")
            require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")


def the_state_round_trips(spec: Any) -> None:
    """The state dict carries all that the output depends on."""
    model = _model(spec)
    other = randomised(build(spec))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    same(other(**_given(spec)), model(**_given(spec)), "the state dict does not carry the whole state")


def meta_build_has_the_same_shapes(spec: Any) -> None:
    """What is counted on the meta device is what is built."""
    shapes = [
        {name: p.shape for name, p in build(spec, device=device).named_parameters()}
        for device in ("meta", "cpu")
    ]
    require(shapes[0] == shapes[1], f"on meta {shapes[0]}, on the CPU {shapes[1]}")


def the_future_is_hidden(spec: Any) -> None:
    """No vector before a changed token changes, nor any output for it; some vector after it does.

    A head that reads the whole sequence gives no output for a place, and may read what comes last.
    """
    model = _model(spec)
    tokens = _tokens(_written(spec))
    changed = _altered(_written(spec), tokens, 5)
    memory = _memory(spec, model)
    hidden, other = model.decode(tokens, *memory), model.decode(changed, *memory)
    same(hidden[:, :5], other[:, :5], "vectors before a changed token")
    require(not torch.equal(hidden[:, 5:], other[:, 5:]), "no token changes any vector")
    out = model.head(hidden)
    if out.dim() == 3 and out.shape[1] == T:
        same(out[:, :5], model.head(other)[:, :5], "outputs before a changed token")


def token_by_token_equals_all_at_once(spec: Any) -> None:
    """In steps of several sizes with a cache, hidden vectors are those of all at once."""
    model = _model(spec)
    tokens, n = _tokens(_written(spec)), _per_place(_written(spec))
    with torch.no_grad():
        memory = _memory(spec, model)
        full, cache, steps = model.decode(tokens, *memory), model.new_cache(), []
        for piece in tokens.split([4 * n, n, 2 * n, 2 * n], dim=1):
            steps.append(model.decode(piece, *memory, cache=cache))
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def padding_is_ignored(spec: Any) -> None:
    """A padded row gives the vectors that it gives alone, whatever stands at its padded places."""
    model, (slot,) = _model(spec), read_slots(spec)
    inputs = _tokens(spec.slots[slot])
    real = torch.ones(B, T, dtype=torch.bool)
    real[1, 5:] = False
    masked = {mask_name(spec, slot): real}
    hidden, mask = model.hidden(inputs, **masked)
    require(mask is not None and torch.equal(mask, real), "the mask of the vectors is not that of the tokens")
    alone, _ = model.hidden(inputs[1:, :5])
    same(hidden[1:, :5], alone, "a padded row against the same row alone")
    other = torch.where(real, inputs, (inputs + 3) % spec.slots[slot].vocab_size)
    same(model.hidden(other, **masked)[0][real], hidden[real], "outputs after the padding's ids changed")


def padding_of_the_source_is_ignored(spec: Any) -> None:
    """A padded source gives the logits that it gives alone, whatever stands at its padded places."""
    model, given = _model(spec), _given(spec)
    for slot in read_slots(spec):
        if not hasattr(spec.slots[slot], "vocab_size"):
            continue
        source = _tokens(spec.slots[slot])
        real = torch.ones(B, T, dtype=torch.bool)
        real[1, 5:] = False
        masked = {mask_name(spec, slot): real}
        logits = model(**given | {slot: source}, **masked)
        alone = model(**{name: tensor[1:] for name, tensor in given.items()} | {slot: source[1:, :5]})
        same(logits[1:], alone, "logits of a padded source and of it alone")
        other = torch.where(real, source, (source + 3) % spec.slots[slot].vocab_size)
        same(model(**given | {slot: other}, **masked), logits, "logits after the padding's ids changed")


def _first(spec: Any) -> Any:
    return next(iter(spec.slots.values()))


def _memory(spec: Any, model: Any) -> tuple[Tensor, ...]:
    """What the decoder attends to beside its own tokens, of random inputs, if anything."""
    return tuple(model.encode(_inputs(spec.slots[slot])) for slot in read_slots(spec))


def _written(spec: Any) -> Any:
    """The embedding of what the decoder writes."""
    return spec.slots[spec.writes]
