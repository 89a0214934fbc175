"""What every model must do, whatever it is composed of."""

from __future__ import annotations

import copy
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor

from registry import Spec
from zoo.assembly.build import build
from zoo.conformance.trials import B, Law, Part, randomised, require, same, seeded
from zoo.kinds import MODEL, ModelSpec, mask_name, read_slots
from zoo.seeding import seed

T = 9


def model_part(spec: Spec) -> Part:
    """The model that a spec describes, which should be small; what it lacks follows from what it reads and writes."""
    described, lacks = cast(ModelSpec, spec), {}
    if described.writes is None or not _writable(described.slots[described.writes]):
        lacks["writes"] = "it writes nothing place by place"
    if not any(hasattr(described.slots[slot], "vocab_size") for slot in read_slots(described)):
        lacks["padding"] = lacks["source padding"] = "it reads no tokens that could be padded"
    elif described.writes is None:
        lacks["source padding"] = "it has no source beside what it writes"
    else:
        lacks["padding"] = "it gives no vectors of what it reads"
    return Part(MODEL, spec, lambda: build(spec), lacks=lacks)


def _model(part: Part) -> Any:
    seeded()
    return randomised(part.make())


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
    seed(5)
    is_one = len(spec.slots) == 1  # else what is read has another length than what is written
    return {
        name: _any(embedding) if is_one or name == spec.writes else _inputs(embedding)
        for name, embedding in spec.slots.items()
    }


def outputs_are_finite_and_repeatable(part: Part) -> None:
    """Two evaluations of one input are finite and the same."""
    model, given = _model(part), _given(part.spec)
    out = model(**given)
    require(bool(out.isfinite().all()), "the output has values that are not finite")
    require(torch.equal(out, model(**given)), "two evaluations of one input differ")


def parameters_get_finite_gradients(part: Part) -> None:
    """Every parameter that is trained gets a gradient, and a finite one, in evaluation or in training."""
    model, given = _model(part), _given(part.spec)
    further = {}
    if "global_tokens" in signature(model.hidden).parameters and hasattr(_first(part.spec), "vocab_size"):
        read = next(iter(given.values()))  # [B, T], or [B, S] where it is another length than is written
        further["global_tokens"] = torch.arange(read.shape[1]).expand(read.shape) == 3
    for is_training in (False, True):  # some parts serve in training only, others may be left out there
        out = model.train(is_training)(**given, **further)
        (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"{name} gets no gradient")
            require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")


def the_state_round_trips(part: Part) -> None:
    """The state dict carries all that the output depends on."""
    model = _model(part)
    other = randomised(part.make())
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    same(
        other(**_given(part.spec)),
        model(**_given(part.spec)),
        "the state dict does not carry the whole state",
    )


def meta_build_has_the_same_shapes(part: Part) -> None:
    """What is counted on the meta device is what is built."""
    shapes = [
        {name: p.shape for name, p in build(part.spec, device=device).named_parameters()}
        for device in ("meta", "cpu")
    ]
    require(shapes[0] == shapes[1], f"on meta {shapes[0]}, on the CPU {shapes[1]}")


def the_future_is_hidden(part: Part) -> None:
    """No vector before a changed token changes, nor any output for it; some vector after it does.

    A head that reads the whole sequence gives no output for a place, and may read what comes last.
    """
    model = _model(part)
    tokens = _tokens(_written(part.spec))
    changed = _altered(_written(part.spec), tokens, 5)
    memory = _memory(part.spec, model)
    hidden, other = model.decode(tokens, *memory), model.decode(changed, *memory)
    same(hidden[:, :5], other[:, :5], "vectors before a changed token")
    require(not torch.equal(hidden[:, 5:], other[:, 5:]), "no token changes any vector")
    out = model.head(hidden)
    if out.dim() == 3 and out.shape[1] == T:
        same(out[:, :5], model.head(other)[:, :5], "outputs before a changed token")


def token_by_token_equals_all_at_once(part: Part) -> None:
    """In steps of several sizes with a cache, hidden vectors are those of all at once."""
    model = _model(part)
    tokens, n = _tokens(_written(part.spec)), _per_place(_written(part.spec))
    with torch.no_grad():
        memory = _memory(part.spec, model)
        full, cache, steps = model.decode(tokens, *memory), model.new_cache(), []
        for piece in tokens.split([4 * n, n, 2 * n, 2 * n], dim=1):
            steps.append(model.decode(piece, *memory, cache=cache))
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def padding_is_ignored(part: Part) -> None:
    """A padded row gives the vectors that it gives alone, whatever stands at its padded places."""
    model, (slot,) = _model(part), read_slots(part.spec)
    inputs = _tokens(part.spec.slots[slot])
    real = torch.ones(B, T, dtype=torch.bool)
    real[1, 5:] = False
    masked = {mask_name(part.spec, slot): real}
    hidden, mask = model.hidden(inputs, **masked)
    require(mask is not None and torch.equal(mask, real), "the mask of the vectors is not that of the tokens")
    alone, _ = model.hidden(inputs[1:, :5])
    same(hidden[1:, :5], alone, "a padded row against the same row alone")
    other = torch.where(real, inputs, (inputs + 3) % part.spec.slots[slot].vocab_size)
    same(model.hidden(other, **masked)[0][real], hidden[real], "outputs after the padding's ids changed")


def padding_of_the_source_is_ignored(part: Part) -> None:
    """A padded source gives the logits that it gives alone, whatever stands at its padded places."""
    model, given = _model(part), _given(part.spec)
    for slot in read_slots(part.spec):
        if not hasattr(part.spec.slots[slot], "vocab_size"):
            continue
        source = _tokens(part.spec.slots[slot])
        real = torch.ones(B, T, dtype=torch.bool)
        real[1, 5:] = False
        masked = {mask_name(part.spec, slot): real}
        logits = model(**given | {slot: source}, **masked)
        alone = model(**{name: tensor[1:] for name, tensor in given.items()} | {slot: source[1:, :5]})
        same(logits[1:], alone, "logits of a padded source and of it alone")
        other = torch.where(real, source, (source + 3) % part.spec.slots[slot].vocab_size)
        same(model(**given | {slot: other}, **masked), logits, "logits after the padding's ids changed")


def _first(spec: Any) -> Any:
    return next(iter(spec.slots.values()))


def _memory(spec: Any, model: Any) -> tuple[Tensor, ...]:
    """What the decoder attends to beside its own tokens, of random inputs, if anything."""
    return tuple(model.encode(_inputs(spec.slots[slot])) for slot in read_slots(spec))


def _written(spec: Any) -> Any:
    """The embedding of what the decoder writes."""
    return spec.slots[spec.writes]


LAWS = (
    Law(outputs_are_finite_and_repeatable),
    Law(parameters_get_finite_gradients),
    Law(the_state_round_trips),
    Law(meta_build_has_the_same_shapes),
    Law(the_future_is_hidden, ("writes",)),
    Law(token_by_token_equals_all_at_once, ("writes",)),
    Law(padding_is_ignored, ("padding",)),
    Law(padding_of_the_source_is_ignored, ("source padding",)),
)
