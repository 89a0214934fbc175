"""What every composed model must do: laws for the spec of a whole model, whatever it is composed of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from registry import Spec
from zoo.analysis.trials import randomised, require, same, seeded
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.assembly.encoder_only import EncoderOnlySpec

ModelLaw = Callable[[Any], None]

B, T = 2, 9


def model_laws(spec: Spec) -> Iterator[tuple[str, ModelLaw]]:
    """(name, law) of every law that applies to this model's spec; use small sizes, for each law builds it."""
    found: list[ModelLaw] = [
        outputs_are_finite_and_repeatable,
        parameters_get_finite_gradients,
        the_state_round_trips,
        meta_build_has_the_same_shapes,
    ]
    if isinstance(spec, DecoderOnlySpec | EncoderDecoderSpec) and hasattr(_written(spec), "vocab_size"):
        found += [the_future_is_hidden, token_by_token_equals_all_at_once]
    if isinstance(spec, EncoderOnlySpec) and hasattr(spec.inputs, "vocab_size"):
        found.append(padding_is_ignored)
    if isinstance(spec, EncoderDecoderSpec) and hasattr(spec.source, "vocab_size"):
        found.append(padding_of_the_source_is_ignored)
    yield from ((law.__name__, law) for law in found)


def _model(spec: Spec) -> Any:
    seeded()
    return randomised(build(spec))


def _inputs(embedding: Any) -> Tensor:
    inputs, _ = embedding.example_inputs(B)
    return inputs.double() if inputs.is_floating_point() else inputs


def _tokens(embedding: Any) -> Tensor:
    return torch.randint(4, embedding.vocab_size, (B, T))


def _any(embedding: Any) -> Tensor:
    """Random inputs of an embedding, T tokens or whatever it takes."""
    return _tokens(embedding) if hasattr(embedding, "vocab_size") else _inputs(embedding)


def _given(spec: Any) -> tuple[Tensor, ...]:
    """Inputs for the model's forward, the same at each call."""
    torch.manual_seed(5)
    if isinstance(spec, EncoderDecoderSpec):
        return _inputs(spec.source), _any(_written(spec))
    return (_any(spec.tokens if isinstance(spec, DecoderOnlySpec) else spec.inputs),)


def outputs_are_finite_and_repeatable(spec: Any) -> None:
    """Two evaluations of one input are finite and the same."""
    model, given = _model(spec), _given(spec)
    out = model(*given)
    require(bool(out.isfinite().all()), "the output has values that are not finite")
    require(torch.equal(out, model(*given)), "two evaluations of one input differ")


def parameters_get_finite_gradients(spec: Any) -> None:
    """Every parameter that is trained gets a gradient, and a finite one, in evaluation or in training."""
    model, given = _model(spec), _given(spec)
    further = {}
    if isinstance(spec, EncoderOnlySpec) and hasattr(spec.inputs, "vocab_size"):
        further["global_tokens"] = torch.arange(T).expand(B, T) == 3
    for is_training in (False, True):  # some parts serve in training only, others may be left out there
        out = model.train(is_training)(*given, **further)
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
    same(other(*_given(spec)), model(*_given(spec)), "the state dict does not carry the whole state")


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
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % _written(spec).vocab_size
    memory = () if isinstance(spec, DecoderOnlySpec) else (model.encode(_inputs(spec.source)),)
    hidden, other = model.decode(tokens, *memory), model.decode(changed, *memory)
    same(hidden[:, :5], other[:, :5], "vectors before a changed token")
    require(not torch.equal(hidden[:, 5:], other[:, 5:]), "no token changes any vector")
    out = model.head(hidden)
    if out.dim() == 3 and out.shape[1] == T:
        same(out[:, :5], model.head(other)[:, :5], "outputs before a changed token")


def token_by_token_equals_all_at_once(spec: Any) -> None:
    """In steps of several sizes with a cache, hidden vectors are those of all at once."""
    model = _model(spec)
    tokens = _tokens(_written(spec))
    with torch.no_grad():
        memory = () if isinstance(spec, DecoderOnlySpec) else (model.encode(_inputs(spec.source)),)
        full, cache, steps, start = model.decode(tokens, *memory), model.new_cache(), [], 0
        for size in (4, 1, 2, 2):
            steps.append(model.decode(tokens[:, start : start + size], *memory, cache=cache))
            start += size
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def padding_is_ignored(spec: Any) -> None:
    """A padded row gives what it gives alone, whatever stands at its padded places."""
    model = _model(spec)
    inputs = _tokens(spec.inputs)
    real = torch.ones(B, T, dtype=torch.bool)
    real[1, 5:] = False
    hidden = model.encode(inputs, mask=real)
    same(hidden[1:, :5], model.encode(inputs[1:, :5]), "a padded row against the same row alone")
    other = torch.where(real, inputs, (inputs + 3) % spec.inputs.vocab_size)
    same(model.encode(other, mask=real)[real], hidden[real], "outputs after the padding's ids changed")


def padding_of_the_source_is_ignored(spec: Any) -> None:
    """A padded source gives the logits that it gives alone, whatever stands at its padded places."""
    model = _model(spec)
    source, target = _tokens(spec.source), _any(_written(spec))
    real = torch.ones(B, T, dtype=torch.bool)
    real[1, 5:] = False
    logits = model(source, target, source_mask=real)
    same(logits[1:], model(source[1:, :5], target[1:]), "logits of a padded source and of it alone")
    other = torch.where(real, source, (source + 3) % spec.source.vocab_size)
    same(model(other, target, source_mask=real), logits, "logits after the padding's ids changed")


def _written(spec: Any) -> Any:
    """The embedding of what the decoder writes."""
    return spec.tokens if isinstance(spec, DecoderOnlySpec) else spec.embeddings["target"]
