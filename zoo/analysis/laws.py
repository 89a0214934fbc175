"""What every component of a kind must do, as small named checks: run by the tests, and by anyone with a part of theirs.

Each law takes a spec, builds the part at small odd sizes and raises AssertionError with the law's name when the part
breaks it. `laws(kind, spec)` gives those that apply. All runs on the CPU in float64, so that a difference is a bug.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Kind, Spec, check_part
from zoo.analysis.model_laws import model_laws
from zoo.analysis.trials import randomised, require, same, seeded
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_only import EncoderOnlySpec
from zoo.assembly.layer import heads
from zoo.kinds import ATTENTION, EMBEDDING, FFN, HEAD, INITIALIZATION, LAYOUT, MODEL, NORM, POSITION
from zoo.masks import Mask

Law = Callable[[Spec], None]

B, T, S, D, H, V = 2, 5, 7, 12, 3, 31


def laws(kind: Kind, spec: Spec) -> Iterator[tuple[str, Law]]:
    """(name, law) of every law of this kind that applies to this spec; that of a whole model should be small."""
    if kind is MODEL:
        yield from model_laws(spec)
    for law in _LAWS.get(kind.name, []):
        needs_cross, needs_causal = law in _CROSS, law in _CAUSAL
        if (needs_cross and not _fits(spec, "cross", None)) or (needs_causal and not _is_causal(kind, spec)):
            continue
        yield law.__name__, law
    if kind.name in _SLOTS:
        for in_model in (in_a_decoder_the_future_is_hidden, in_a_decoder_cached_equals_full):
            if not _decoder_spec(kind, spec).problems("model"):
                yield in_model.__name__, _of_kind(in_model, kind)
        yield in_an_encoder_padding_is_ignored.__name__, _of_kind(in_an_encoder_padding_is_ignored, kind)


def _fits(spec: Spec, role: str, position: Spec | None) -> bool:
    return not check_part(spec, "", d_model=D, role=role, position=position)


def _is_causal(kind: Kind, spec: Spec) -> bool:
    """Whether this attention or position may stand in a causal stack."""
    if kind is ATTENTION:
        return _fits(spec, "causal", _partner(spec))
    return not check_part(spec, "", d_model=D, n_heads=H, d_k=D // H, role="causal")


def _partner(attention: Spec) -> Spec:
    """The spec of a position that the attention accepts: none if it can do without."""
    for name in sorted(POSITION.names(), key=lambda name: name != "none"):
        for position in POSITION.examples(name):
            if _fits(attention, "self", position):
                return position
    raise AssertionError("no registered position fits this attention at these sizes: see its check")


def _of_kind(law: Callable[[Kind, Spec], None], kind: Kind) -> Law:
    return lambda spec: law(kind, spec)


def _x(length: int = T) -> Tensor:
    return torch.randn(B, length, D, dtype=torch.float64)


def _any_x(spec: Spec) -> Tensor:
    return _x()


# Modules of any kind


def _module_laws(
    make: Callable[[Spec], nn.Module],
    run: Callable[[nn.Module, Tensor], Tensor],
    data: Callable[[Spec], Tensor],
    shape: Callable[[Spec, Tensor], list[int]] = lambda spec, given: [B, given.shape[1], D],
) -> list[Law]:
    """What holds for any module that maps data to an output of the shape that spec and data call for."""

    def output_has_its_shape_and_is_finite(spec: Spec) -> None:
        seeded()
        given = data(spec)
        out = run(randomised(make(spec)), given)
        wanted = shape(spec, given)
        given_shape = list(out.shape)[: len(wanted)]
        require(given_shape == wanted, f"output {list(out.shape)}, wanted {wanted}")
        require(bool(out.isfinite().all()), "the output has values that are not finite")

    def every_parameter_gets_a_gradient(spec: Spec) -> None:
        seeded()
        module = randomised(make(spec)).train()
        out = run(module, data(spec))
        if not any(parameter.requires_grad for parameter in module.parameters()):
            return
        (out * torch.randn_like(out)).sum().backward()
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            require(parameter.grad is not None, f"{name} gets no gradient")
            assert parameter.grad is not None
            require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")
            require(bool(parameter.grad.any()), f"the gradient of {name} is zero everywhere")

    def state_round_trips(spec: Spec) -> None:
        seeded()
        module, other = randomised(make(spec)), randomised(make(spec))
        given = data(spec)
        expected = run(module, given)
        other.load_state_dict(copy.deepcopy(module.state_dict()))
        same(run(other, given), expected, "the state dict does not carry the whole state")

    def meta_build_has_the_same_shapes(spec: Spec) -> None:
        with torch.device("meta"):
            meta = make(spec)
        real = make(spec)
        shapes = [{n: p.shape for n, p in module.named_parameters()} for module in (meta, real)]
        require(shapes[0] == shapes[1], f"on meta {shapes[0]}, on the CPU {shapes[1]}")
        require(all(p.is_meta for p in meta.parameters()), "a parameter was allocated on the meta device")

    def evaluation_is_deterministic(spec: Spec) -> None:
        seeded()
        module, given = randomised(make(spec)), data(spec)
        same(run(module, given), run(module, given), "two evaluations of one input")

    return [
        output_has_its_shape_and_is_finite,
        every_parameter_gets_a_gradient,
        state_round_trips,
        meta_build_has_the_same_shapes,
        evaluation_is_deterministic,
    ]


# Attention


class _Attention(nn.Module):
    """An attention and, for one that needs it, the positions it reads."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        partner = _partner(spec)
        self.attention = ATTENTION.build(spec, d_model=D)
        self.position = None
        if partner.type != "none":  # type: ignore[attr-defined]
            self.position = POSITION.build(partner, d_model=D, n_heads=heads(spec))

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        cache: Any = None,
        is_cross: bool = False,
    ) -> Tensor:
        position = None if is_cross else self.position
        return self.attention(x, memory, mask=mask, position=position, cache=cache)


def _attention(spec: Spec) -> nn.Module:
    return _Attention(spec)


def _attend(module: nn.Module, x: Tensor, mask: Mask | None = None) -> Tensor:
    return module(x, mask=mask or Mask())


def future_tokens_have_no_influence(spec: Spec) -> None:
    """Under a causal mask, no output before a changed token changes."""
    seeded()
    module, x = randomised(_attention(spec)), _x(9)
    changed = x.clone()
    changed[:, 5:] += 1
    causal = _attend(module, x, Mask(causal=True)), _attend(module, changed, Mask(causal=True))
    same(causal[0][:, :5], causal[1][:, :5], "under a causal mask, outputs before a changed token")


def padded_tokens_have_no_influence(spec: Spec) -> None:
    """What stands at padded places changes no real output, and a padded row equals the same row alone."""
    seeded()
    module, x = randomised(_attention(spec)), _x(9)
    keys = torch.ones(B, 9, dtype=torch.bool)
    keys[1, 6:] = False
    changed = torch.where(keys[..., None], x, x + 1)
    outputs = [_attend(module, given, Mask(keys=keys)) for given in (x, changed)]
    same(outputs[0][keys], outputs[1][keys], "outputs of real tokens after the padding changed")
    alone = _attend(module, x[1:, :6])
    same(outputs[0][1:, :6], alone, "a padded row against the same row alone, unpadded")


def rows_with_nothing_to_attend_stay_finite(spec: Spec) -> None:
    """A row of nothing but padding gives finite outputs and gradients."""
    seeded()
    module, x = randomised(_attention(spec)).train(), _x().requires_grad_()
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0] = False
    out = _attend(module, x, Mask(keys=keys))
    require(bool(out.isfinite().all()), "an output is not finite")
    if not out.requires_grad:  # it gives a constant
        return
    out.sum().backward()
    assert x.grad is not None
    require(bool(x.grad.isfinite().all()), "a gradient is not finite")


def cached_equals_full(spec: Spec) -> None:
    """In steps of several sizes with a cache, outputs are those of all at once."""
    seeded()
    module, x = cast(Any, randomised(_attention(spec))), _x(9)
    cache = module.attention.new_cache()
    with torch.no_grad():
        full = _attend(module, x, Mask(causal=True))
        steps, start = [], 0
        for size in (3, 1, 1, 4):
            new = x[:, start : start + size]
            steps.append(module(new, mask=Mask(causal=True, offset=start), cache=cache))
            start += size
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def reordered_rows_continue_what_they_name(spec: Spec) -> None:
    """A cache whose rows are reordered goes on with those rows, more or fewer than before."""
    seeded()
    module, x = cast(Any, randomised(_attention(spec))), _x(7)
    cache = module.attention.new_cache()
    with torch.no_grad():
        module(x[:, :4], mask=Mask(causal=True), cache=cache)
        for rows in ([1, 1, 0], [2, 0]):
            if cache is not None:
                cache.reorder(torch.tensor(rows))
            x = x[rows]
        full = _attend(module, x, Mask(causal=True))
        for place in (4, 5, 6):
            new = module(x[:, place : place + 1], mask=Mask(causal=True, offset=place), cache=cache)
            same(new, full[:, place : place + 1], "a step after rows were reordered against all at once")


def across_two_sequences_the_queries_give_the_shape(spec: Spec) -> None:
    """Cross-attention maps queries [B, T, D] and memory [B, S, D] to [B, T, D]."""
    seeded()
    out = randomised(_attention(spec))(_x(), _x(S), mask=Mask(), is_cross=True)
    require(list(out.shape) == [B, T, D], f"output {list(out.shape)}, wanted {[B, T, D]}")


def padding_of_the_memory_has_no_influence(spec: Spec) -> None:
    """What stands at padded places of the memory changes no output."""
    seeded()
    module, x, memory = randomised(_attention(spec)), _x(), _x(S)
    keys = torch.ones(B, S, dtype=torch.bool)
    keys[1, 4:] = False
    outputs = [
        module(x, given, mask=Mask(keys=keys), is_cross=True)
        for given in (memory, torch.where(keys[..., None], memory, memory + 1))
    ]
    same(outputs[0], outputs[1], "outputs after the padding of the memory changed")


def cached_memory_equals_memory(spec: Spec) -> None:
    """With keys and values kept from the first call, later calls need no memory."""
    seeded()
    module, x, memory = cast(Any, randomised(_attention(spec))), _x(), _x(S)
    cache = module.attention.new_memory_cache()
    with torch.no_grad():
        full = module(x, memory, mask=Mask(), is_cross=True)
        first = module(x[:, :2], memory, mask=Mask(), cache=cache, is_cross=True)
        rest = module(x[:, 2:], None, mask=Mask(), cache=cache, is_cross=True)
        same(torch.cat([first, rest], 1), full, "with cached memory against all at once")
        if cache is not None:
            cache.select(torch.tensor([1]))
        several = x[[1, 0]]  # two rows of the second sentence
        left = module(several, None, mask=Mask(), cache=cache, is_cross=True)
        full = module(several, memory[[1, 1]], mask=Mask(), is_cross=True)
    same(left, full, "with the cached memory of one sentence against that memory for each row")


_CROSS: list[Law] = [
    across_two_sequences_the_queries_give_the_shape,
    padding_of_the_memory_has_no_influence,
    cached_memory_equals_memory,
]


# Feed-forward networks and norms


def _positionwise(make: Callable[[Spec], nn.Module]) -> Law:
    def each_position_by_itself(spec: Spec) -> None:
        seeded()
        module, x = randomised(make(spec)), _x()
        order = torch.tensor([3, 0, 4, 2, 1])
        same(module(x[:, order]), module(x)[:, order], "reordered positions")
        same(module(x[:, 2:3]), module(x)[:, 2:3], "one position alone")

    return each_position_by_itself


def _ffn(spec: Spec) -> nn.Module:
    return FFN.build(spec, d_model=D)


def _norm(spec: Spec) -> nn.Module:
    return NORM.build(spec, d_model=D)


def _call(module: nn.Module, given: Tensor) -> Tensor:
    return module(given)


# Positions


def _position(spec: Spec) -> Any:
    return randomised(POSITION.build(spec, d_model=D, n_heads=H))


def _heads(length: int = T) -> Tensor:
    return torch.randn(B, H, length, D // H, dtype=torch.float64)


def hooks_keep_their_shapes(spec: Spec) -> None:
    """embed and rotate keep shapes; a bias is [.., T, S]."""
    seeded()
    position, x, q, k = _position(spec), _x(), _heads(), _heads(S)
    mask = Mask(offset=S - T)
    require(position.rotate(q, mask=mask).shape == q.shape, "rotate changes the shape")
    bias = position.bias(q, k, scale=0.7, mask=mask)
    require(bias is None or bias.shape[-2:] == (T, S), "bias is not [.., T, S]")
    require(position.embed(x, mask=Mask()).shape == x.shape, "embed changes the shape")


def later_positions_alone_equal_those_of_the_whole(spec: Spec) -> None:
    """Each hook from position 2 on gives what it gives there for the whole, as a cache needs it."""
    seeded()
    position, x, q, k = _position(spec), _x(), _heads(), _heads()
    whole, late = Mask(causal=True), Mask(causal=True, offset=2)
    same(position.embed(x[:, 2:], mask=late), position.embed(x, mask=whole)[:, 2:], "embed from position 2")
    same(
        position.rotate(q[:, :, 2:], mask=late),
        position.rotate(q, mask=whole)[:, :, 2:],
        "rotate from position 2",
    )
    bias = position.bias(q, k, scale=0.7, mask=whole)
    if bias is not None:
        late_bias = position.bias(q[:, :, 2:], k, scale=0.7, mask=late)
        same(late_bias, bias[..., 2:, :], "bias of the queries from position 2")


_CAUSAL: list[Law] = [
    future_tokens_have_no_influence,
    cached_equals_full,
    later_positions_alone_equal_those_of_the_whole,
]


# Layouts


def _layout(spec: Spec) -> nn.Module:
    norm = NORM.entry("layer_norm").spec.model_validate({})
    return LAYOUT.build(spec, d_model=D, norms=(norm,) * 3, dropout=0.1)


def _run_layout(module: nn.Module, x: Tensor) -> Tensor:
    return module(x, [torch.sin, torch.tanh, torch.cos])


def each_sublayer_runs_once_and_in_order(spec: Spec) -> None:
    """A layout calls every sublayer once, in the order given."""
    seeded()
    calls: list[int] = []

    def sublayer(i: int) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            calls.append(i)
            return x.sin()

        return run

    randomised(_layout(spec))(_x(), [sublayer(i) for i in range(3)])
    require(calls == [0, 1, 2], f"sublayers ran as {calls}")


# Embeddings, heads, initialisations


def _embedding(spec: Spec) -> nn.Module:
    return EMBEDDING.build(spec, d_model=D)


def _embed(module: nn.Module, given: Tensor) -> Tensor:
    return module(given, mask=None, types=None)[0].transpose(1, 2)  # [B, D, S]


def _raw(spec: Spec) -> Tensor:
    inputs, _ = cast(Any, spec).example_inputs(B)
    return inputs.double() if inputs.is_floating_point() else inputs


def the_mask_fits_the_vectors(spec: Spec) -> None:
    """With a mask, the mask returned has a place for each vector, and real vectors are finite."""
    seeded()
    inputs, mask = cast(Any, spec).example_inputs(B)
    module = randomised(_embedding(spec))
    vectors, real = module(inputs.double() if inputs.is_floating_point() else inputs, mask=mask, types=None)
    require((real is None) == (mask is None), "a mask is given or returned, but not both")
    if real is not None:
        require(real.shape == vectors.shape[:2], f"mask {list(real.shape)} of vectors {list(vectors.shape)}")
        require(real.dtype == torch.bool, f"the mask is {real.dtype}, not bool")
        require(bool(vectors[real].isfinite().all()), "a real vector is not finite")


def _head(spec: Spec) -> nn.Module:
    tokens = EMBEDDING.entry("tokens").spec.model_validate({"vocab_size": V})
    names = [getattr(spec, "predicts", "inputs")]
    return HEAD.build(
        spec, d_model=D, embeddings={name: EMBEDDING.build(tokens, d_model=D) for name in names}
    )


def padded_vectors_do_not_reach_the_output(spec: Spec) -> None:
    """What stands at padded places changes neither the output of real ones nor that of the sequence."""
    seeded()
    module, x = randomised(_head(spec)), _x()
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 3:] = False
    outputs = [module(given, mask=mask) for given in (x, torch.where(mask[..., None], x, x + 1))]
    if outputs[0].shape[:2] == x.shape[:2]:
        outputs = [out[mask] for out in outputs]
    same(outputs[0], outputs[1], "the output after the padding changed")


def _of_head(spec: Spec, given: Tensor) -> list[int]:
    return [B, T, V] if hasattr(spec, "predicts") else [B]


def the_loss_is_that_of_the_logits(spec: Spec) -> None:
    """A head that predicts labels place by place computes the cross-entropy of its logits."""
    if getattr(spec, "learns", None) != "token":
        return
    head, (hidden, labels) = _learner(spec), _targets(spec)
    sums = head.loss(hidden, labels, label_smoothing=0.2)
    for given, smoothing in ((sums.loss, 0.2), (sums.nll, 0.0)):
        wanted = nn.functional.cross_entropy(head(hidden), labels, label_smoothing=smoothing, reduction="sum")
        require(
            bool((given - wanted).abs() <= 1e-4 * wanted.abs()),
            f"loss {given.item()}, by logits {wanted.item()}",
        )


def the_loss_adds_up(spec: Spec) -> None:
    """The sums of a batch are those of its parts together; the loss has a gradient, the likelihood has none."""
    if getattr(spec, "learns", None) is None:
        return
    head, given = _learner(spec), _targets(spec)
    named: dict[str, dict[str, Any]] = {
        "token": {"label_smoothing": 0.0},
        "value": {},
        "sequence": {"mask": None, "label_smoothing": 0.0},
        "transcript": {"mask": None, "label_mask": None},
    }
    further = named[spec.learns]  # type: ignore[attr-defined]
    whole = head.loss(*given, **further)
    parts = [head.loss(*(x[i : i + 2] for x in given), **further) for i in (0, 2, 4)]
    for name in ("loss", "nll", "count"):
        total, *each = (torch.as_tensor(getattr(sums, name)).item() for sums in (whole, *parts))
        require(abs(total - sum(each)) <= 1e-4 * abs(total), f"{name} is {total}, of its parts {each}")
    require(isinstance(whole.count, int), f"count is {type(whole.count).__name__}, not int")
    require(whole.loss.requires_grad, "the loss has no gradient")
    require(not whole.nll.requires_grad, "the negative log likelihood has a gradient")


def _learner(spec: Spec) -> Any:
    seeded()
    return cast(Any, randomised(_head(spec)).float())


def _targets(spec: Any) -> tuple[Tensor, Tensor]:
    """Random vectors of six places or sequences, and what a head is to learn of them."""
    hidden = torch.randn(6, D) if spec.learns in ("token", "value") else torch.randn(6, T, D)
    n_labels: int = getattr(spec, "n_classes", getattr(spec, "vocab_size", V))
    if spec.learns == "value":
        return hidden, torch.randn(6, spec.n_outputs)
    if spec.learns == "transcript":
        possible = [label for label in range(n_labels) if label != spec.blank]
        return hidden, torch.tensor(possible)[torch.randint(len(possible), (6, 2))]
    if spec.learns == "sequence" and n_labels == 1:
        return hidden, torch.randn(6)
    return hidden, torch.randint(n_labels, (6,))


def one_seed_gives_one_set_of_weights(spec: Spec) -> None:
    """An initialisation draws from torch's global generator alone."""
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        model = nn.ModuleList([nn.Linear(D, V), nn.Embedding(V, D)])
        INITIALIZATION.build(spec)(model)
        drawn.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    require(torch.equal(drawn[0], drawn[1]), "one seed gave two sets of weights")
    require(not torch.equal(drawn[0], drawn[2]), "two seeds gave one set of weights")
    require(bool(drawn[0].isfinite().all()), "a weight is not finite")


# Inside a model


_SLOTS = {
    "attention": "self_attention",
    "ffn": "ffn",
    "norm": "norm",
    "layout": "layout",
    "position": "position",
}


def _with(kind: Kind, spec: Spec) -> dict[str, Any]:
    layer: dict[str, Any] = {
        "self_attention": {"type": "multi_head", "n_heads": 3},
        "ffn": {"type": "mlp", "d_ff": 11},
    }
    position: Spec | str = _partner(spec) if kind is ATTENTION and _needs_position(spec) else "learned"
    if kind is POSITION:
        return {"n_layers": 2, "layer": layer, "position": spec}
    return {"n_layers": 2, "layer": layer | {_SLOTS[kind.name]: spec}, "position": position}


def _needs_position(attention: Spec) -> bool:
    return _partner(attention).type != "none"  # type: ignore[attr-defined]


def _decoder_spec(kind: Kind, spec: Spec) -> DecoderOnlySpec:
    head = {"type": "language_model", "predicts": "tokens"}
    tokens = {"type": "tokens", "vocab_size": V}
    data = {"d_model": D, "tokens": tokens, "decoder": _with(kind, spec), "head": head}
    return DecoderOnlySpec.model_validate(data)


def _decoder_only(kind: Kind, spec: Spec) -> Any:
    seeded()
    return randomised(build(_decoder_spec(kind, spec)))


def in_a_decoder_the_future_is_hidden(kind: Kind, spec: Spec) -> None:
    """In a causal model with the part in its layers, logits before a changed token stay."""
    model = _decoder_only(kind, spec)
    tokens = torch.randint(4, V, (B, 9))
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % V
    same(model(tokens)[:, :5], model(changed)[:, :5], "logits before a changed token")
    require(not torch.equal(model(tokens)[:, 5:], model(changed)[:, 5:]), "no token changes any logit")


def in_a_decoder_cached_equals_full(kind: Kind, spec: Spec) -> None:
    """In a causal model with the part in its layers, a cache changes nothing."""
    model = _decoder_only(kind, spec)
    tokens = torch.randint(4, V, (B, 9))
    with torch.no_grad():
        full, cache, steps, start = model.decode(tokens), model.new_cache(), [], 0
        for size in (4, 1, 2, 2):
            steps.append(model.decode(tokens[:, start : start + size], cache=cache))
            start += size
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def in_an_encoder_padding_is_ignored(kind: Kind, spec: Spec) -> None:
    """In an encoder with the part in its layers, a padded sentence gives what it gives alone."""
    seeded()
    inputs = {"type": "tokens", "vocab_size": V}
    data = {"d_model": D, "inputs": inputs, "encoder": _with(kind, spec), "head": "none"}
    model = cast(Any, randomised(build(EncoderOnlySpec.model_validate(data))))
    source = torch.randint(4, V, (B, S))
    real = torch.ones(B, S, dtype=torch.bool)
    real[1, 4:] = False
    hidden = model(source, mask=real)
    same(hidden[1:, :4], model(source[1:, :4]), "a sentence in a padded batch and alone")
    other = torch.where(real, source, (source + 7) % V)
    same(model(other, mask=real)[real], hidden[real], "outputs after the padding's ids changed")


_LAWS: dict[str, list[Law]] = {
    ATTENTION.name: [
        *_module_laws(_attention, _attend, _any_x),
        future_tokens_have_no_influence,
        padded_tokens_have_no_influence,
        rows_with_nothing_to_attend_stay_finite,
        cached_equals_full,
        reordered_rows_continue_what_they_name,
        *_CROSS,
    ],
    FFN.name: [*_module_laws(_ffn, _call, _any_x), _positionwise(_ffn)],
    NORM.name: [*_module_laws(_norm, _call, _any_x), _positionwise(_norm)],
    POSITION.name: [hooks_keep_their_shapes, later_positions_alone_equal_those_of_the_whole],
    LAYOUT.name: [*_module_laws(_layout, _run_layout, _any_x), each_sublayer_runs_once_and_in_order],
    EMBEDDING.name: [
        *_module_laws(_embedding, _embed, _raw, lambda spec, given: [B, D]),
        the_mask_fits_the_vectors,
    ],
    HEAD.name: [
        *_module_laws(_head, _call, _any_x, _of_head),
        padded_vectors_do_not_reach_the_output,
        the_loss_is_that_of_the_logits,
        the_loss_adds_up,
    ],
    INITIALIZATION.name: [one_seed_gives_one_set_of_weights],
}
