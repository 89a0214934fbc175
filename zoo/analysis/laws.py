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

from registry import Kind, Spec
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds import ATTENTION, EMBEDDING, FFN, HEAD, INITIALIZATION, LAYOUT, NORM, POSITION
from zoo.masks import Mask

Law = Callable[[Spec], None]

B, T, S, D, V = 2, 5, 7, 12, 31
TOLERANCE = 1e-10


def laws(kind: Kind, spec: Spec) -> Iterator[tuple[str, Law]]:
    """(name, law) of every law of this kind that applies to this spec."""
    for law in _LAWS.get(kind.name, []):
        if law not in _CROSS or _fits(spec, "cross"):
            yield law.__name__, law
    if kind.name in _SLOTS:
        for in_model in (
            in_a_decoder_the_future_is_hidden,
            in_an_encoder_padding_is_ignored,
            in_a_decoder_cached_equals_full,
        ):
            yield in_model.__name__, _of_kind(in_model, kind)


def _fits(spec: Spec, role: str) -> bool:
    try:
        spec.check(d_model=D, role=role)
    except ValueError:
        return False
    return True


def _of_kind(law: Callable[[Kind, Spec], None], kind: Kind) -> Law:
    return lambda spec: law(kind, spec)


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise AssertionError(text)


def _same(ours: Tensor, theirs: Tensor, text: str) -> None:
    _require(ours.shape == theirs.shape, f"{text}: shapes {list(ours.shape)} and {list(theirs.shape)}")
    difference = (ours - theirs).abs().max().item() if ours.numel() else 0.0
    _require(difference <= TOLERANCE, f"{text}: they differ by {difference:.3g}")


def _randomised(module: nn.Module) -> nn.Module:
    """In float64, in evaluation mode, every parameter moved, so that no gain of one or bias of zero hides a mistake."""
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def _seeded() -> None:
    torch.manual_seed(11)


def _x(length: int = T) -> Tensor:
    return torch.randn(B, length, D, dtype=torch.float64)


def _any_x(spec: Spec) -> Tensor:
    return _x()


# Modules of any kind


def _module_laws(
    make: Callable[[Spec], nn.Module],
    run: Callable[[nn.Module, Tensor], Tensor],
    data: Callable[[Spec], Tensor],
    last: int = D,
) -> list[Law]:
    """What holds for any module that maps data [B, T, ...] to [B, T, last]."""

    def output_has_its_shape_and_is_finite(spec: Spec) -> None:
        _seeded()
        given = data(spec)
        out = run(_randomised(make(spec)), given)
        wanted = [*given.shape[:2], last]
        _require(list(out.shape) == wanted, f"output {list(out.shape)}, wanted {wanted}")
        _require(bool(out.isfinite().all()), "the output has values that are not finite")

    def every_parameter_gets_a_gradient(spec: Spec) -> None:
        _seeded()
        module = _randomised(make(spec)).train()
        out = run(module, data(spec))
        (out * torch.randn_like(out)).sum().backward()
        for name, parameter in module.named_parameters():
            _require(parameter.grad is not None, f"{name} gets no gradient")
            assert parameter.grad is not None
            _require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")
            _require(bool(parameter.grad.any()), f"the gradient of {name} is zero everywhere")

    def state_round_trips(spec: Spec) -> None:
        _seeded()
        module, other = _randomised(make(spec)), _randomised(make(spec))
        given = data(spec)
        expected = run(module, given)
        other.load_state_dict(copy.deepcopy(module.state_dict()))
        _same(run(other, given), expected, "the state dict does not carry the whole state")

    def meta_build_has_the_same_shapes(spec: Spec) -> None:
        with torch.device("meta"):
            meta = make(spec)
        real = make(spec)
        shapes = [{n: p.shape for n, p in module.named_parameters()} for module in (meta, real)]
        _require(shapes[0] == shapes[1], f"on meta {shapes[0]}, on the CPU {shapes[1]}")
        _require(all(p.is_meta for p in meta.parameters()), "a parameter was allocated on the meta device")

    def evaluation_is_deterministic(spec: Spec) -> None:
        _seeded()
        module, given = _randomised(make(spec)), data(spec)
        _same(run(module, given), run(module, given), "two evaluations of one input")

    return [
        output_has_its_shape_and_is_finite,
        every_parameter_gets_a_gradient,
        state_round_trips,
        meta_build_has_the_same_shapes,
        evaluation_is_deterministic,
    ]


# Attention


def _attention(spec: Spec) -> nn.Module:
    return ATTENTION.build(spec, d_model=D)


def _attend(module: nn.Module, x: Tensor, mask: Mask | None = None) -> Tensor:
    return module(x, None, mask=mask or Mask(), position=None, cache=None)


def future_tokens_have_no_influence(spec: Spec) -> None:
    """Under a causal mask, no output before a changed token changes."""
    _seeded()
    module, x = _randomised(_attention(spec)), _x(9)
    changed = x.clone()
    changed[:, 5:] += 1
    causal = _attend(module, x, Mask(causal=True)), _attend(module, changed, Mask(causal=True))
    _same(causal[0][:, :5], causal[1][:, :5], "under a causal mask, outputs before a changed token")


def padded_tokens_have_no_influence(spec: Spec) -> None:
    """What stands at padded places changes no real output, and a padded row equals the same row alone."""
    _seeded()
    module, x = _randomised(_attention(spec)), _x(9)
    keys = torch.ones(B, 9, dtype=torch.bool)
    keys[1, 6:] = False
    changed = torch.where(keys[..., None], x, x + 1)
    outputs = [_attend(module, given, Mask(keys=keys)) for given in (x, changed)]
    _same(outputs[0][keys], outputs[1][keys], "outputs of real tokens after the padding changed")
    alone = _attend(module, x[1:, :6])
    _same(outputs[0][1:, :6], alone, "a padded row against the same row alone, unpadded")


def rows_with_nothing_to_attend_stay_finite(spec: Spec) -> None:
    """A row of nothing but padding gives finite outputs and gradients."""
    _seeded()
    module, x = _randomised(_attention(spec)).train(), _x().requires_grad_()
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0] = False
    out = _attend(module, x, Mask(keys=keys))
    out.sum().backward()
    assert x.grad is not None
    _require(bool(out.isfinite().all()), "an output is not finite")
    _require(bool(x.grad.isfinite().all()), "a gradient is not finite")


def cached_equals_full(spec: Spec) -> None:
    """In steps of several sizes with a cache, outputs are those of all at once."""
    _seeded()
    module, x, cache = _randomised(_attention(spec)), _x(9), KeyValueCache()
    with torch.no_grad():
        full = _attend(module, x, Mask(causal=True))
        steps, start = [], 0
        for size in (3, 1, 1, 4):
            new = x[:, start : start + size]
            steps.append(module(new, None, mask=Mask(causal=True, offset=start), position=None, cache=cache))
            start += size
    _same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def across_two_sequences_the_queries_give_the_shape(spec: Spec) -> None:
    """Cross-attention maps queries [B, T, D] and memory [B, S, D] to [B, T, D]."""
    _seeded()
    out = _randomised(_attention(spec))(_x(), _x(S), mask=Mask(), position=None, cache=None)
    _require(list(out.shape) == [B, T, D], f"output {list(out.shape)}, wanted {[B, T, D]}")


def padding_of_the_memory_has_no_influence(spec: Spec) -> None:
    """What stands at padded places of the memory changes no output."""
    _seeded()
    module, x, memory = _randomised(_attention(spec)), _x(), _x(S)
    keys = torch.ones(B, S, dtype=torch.bool)
    keys[1, 4:] = False
    outputs = [
        module(x, given, mask=Mask(keys=keys), position=None, cache=None)
        for given in (memory, torch.where(keys[..., None], memory, memory + 1))
    ]
    _same(outputs[0], outputs[1], "outputs after the padding of the memory changed")


def cached_memory_equals_memory(spec: Spec) -> None:
    """With keys and values kept from the first call, later calls need no memory."""
    _seeded()
    module, x, memory, cache = _randomised(_attention(spec)), _x(), _x(S), MemoryCache()
    with torch.no_grad():
        full = module(x, memory, mask=Mask(), position=None, cache=None)
        first = module(x[:, :2], memory, mask=Mask(), position=None, cache=cache)
        rest = module(x[:, 2:], None, mask=Mask(), position=None, cache=cache)
    _same(torch.cat([first, rest], 1), full, "with cached memory against all at once")


_CROSS: list[Law] = [
    across_two_sequences_the_queries_give_the_shape,
    padding_of_the_memory_has_no_influence,
    cached_memory_equals_memory,
]


# Feed-forward networks and norms


def _positionwise(make: Callable[[Spec], nn.Module]) -> Law:
    def each_position_by_itself(spec: Spec) -> None:
        _seeded()
        module, x = _randomised(make(spec)), _x()
        order = torch.tensor([3, 0, 4, 2, 1])
        _same(module(x[:, order]), module(x)[:, order], "reordered positions")
        _same(module(x[:, 2:3]), module(x)[:, 2:3], "one position alone")

    return each_position_by_itself


def _ffn(spec: Spec) -> nn.Module:
    return FFN.build(spec, d_model=D)


def _norm(spec: Spec) -> nn.Module:
    return NORM.build(spec, d_model=D)


def _call(module: nn.Module, given: Tensor) -> Tensor:
    return module(given)


# Positions


def _position(spec: Spec) -> Any:
    return _randomised(POSITION.build(spec, d_model=D))


def hooks_keep_their_shapes(spec: Spec) -> None:
    """embed and rotate keep shapes; a bias is [.., T, S]."""
    _seeded()
    position, x, heads = _position(spec), _x(), torch.randn(B, 3, T, 4, dtype=torch.float64)
    _require(position.embed(x, torch.arange(T)).shape == x.shape, "embed changes the shape")
    _require(position.rotate(heads, torch.arange(T)).shape == heads.shape, "rotate changes the shape")
    bias = position.bias(torch.arange(T), torch.arange(S))
    _require(bias is None or bias.shape[-2:] == (T, S), "bias is not [.., T, S]")


def later_positions_alone_equal_those_of_the_whole(spec: Spec) -> None:
    """Each hook from position 2 on gives what it gives there for the whole."""
    _seeded()
    position, x, heads = _position(spec), _x(), torch.randn(B, 3, T, 4, dtype=torch.float64)
    whole, late = torch.arange(T), torch.arange(2, T)
    _same(position.embed(x[:, 2:], late), position.embed(x, whole)[:, 2:], "embed from position 2")
    _same(
        position.rotate(heads[:, :, 2:], late),
        position.rotate(heads, whole)[:, :, 2:],
        "rotate from position 2",
    )
    bias = position.bias(whole, whole)
    if bias is not None:
        _same(position.bias(late, whole), bias[..., 2:, :], "bias of the queries from position 2")


# Layouts


def _layout(spec: Spec) -> nn.Module:
    norm = NORM.entry("layer_norm").spec.model_validate({})
    return LAYOUT.build(spec, d_model=D, norm=norm, n_sublayers=3, dropout=0.1)


def _run_layout(module: nn.Module, x: Tensor) -> Tensor:
    return module(x, [torch.sin, torch.tanh, torch.cos])


def each_sublayer_runs_once_and_in_order(spec: Spec) -> None:
    """A layout calls every sublayer once, in the order given."""
    _seeded()
    calls: list[int] = []

    def sublayer(i: int) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            calls.append(i)
            return x.sin()

        return run

    _randomised(_layout(spec))(_x(), [sublayer(i) for i in range(3)])
    _require(calls == [0, 1, 2], f"sublayers ran as {calls}")


# Embeddings, heads, initialisations


def _embedding(spec: Spec) -> nn.Module:
    return EMBEDDING.build(spec, d_model=D)


def _ids(spec: Spec) -> Tensor:
    return torch.randint(4, getattr(spec, "vocab_size", V), (B, S))


def _head(spec: Spec) -> nn.Module:
    tokens = EMBEDDING.entry("tokens").spec.model_validate({"vocab_size": V})
    names = ("source", "target", "tokens", "inputs")
    return HEAD.build(
        spec, d_model=D, embeddings={name: EMBEDDING.build(tokens, d_model=D) for name in names}
    )


def the_loss_is_that_of_the_logits(spec: Spec) -> None:
    """A head with a loss of its own computes the cross-entropy of its logits."""
    head = cast(Any, _randomised(_head(spec)).float())
    if not hasattr(head, "loss"):
        return
    hidden = torch.randn(6, D)
    labels = torch.randint(V, (6,))
    total, plain = head.loss(hidden, labels, label_smoothing=0.2)
    for given, smoothing in ((total, 0.2), (plain, 0.0)):
        wanted = nn.functional.cross_entropy(head(hidden), labels, label_smoothing=smoothing, reduction="sum")
        _require(
            bool((given - wanted).abs() <= 1e-4 * wanted.abs()),
            f"loss {given.item()}, by logits {wanted.item()}",
        )


def one_seed_gives_one_set_of_weights(spec: Spec) -> None:
    """An initialisation draws from torch's global generator alone."""
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        model = nn.ModuleList([nn.Linear(D, V), nn.Embedding(V, D)])
        INITIALIZATION.build(spec)(model)
        drawn.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    _require(torch.equal(drawn[0], drawn[1]), "one seed gave two sets of weights")
    _require(not torch.equal(drawn[0], drawn[2]), "two seeds gave one set of weights")
    _require(bool(drawn[0].isfinite().all()), "a weight is not finite")


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
        "position": "learned",
    }
    return {"n_layers": 2, "layer": layer | {_SLOTS[kind.name]: spec}}


def _decoder_only(kind: Kind, spec: Spec) -> Any:
    _seeded()
    head = {"type": "language_model", "predicts": "tokens"}
    tokens = {"type": "tokens", "vocab_size": V}
    data = {"d_model": D, "tokens": tokens, "decoder": _with(kind, spec), "head": head}
    return _randomised(build(DecoderOnlySpec.model_validate(data)))


def in_a_decoder_the_future_is_hidden(kind: Kind, spec: Spec) -> None:
    """In a causal model with the part in its layers, logits before a changed token stay."""
    model = _decoder_only(kind, spec)
    tokens = torch.randint(4, V, (B, 9))
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % V
    _same(model(tokens)[:, :5], model(changed)[:, :5], "logits before a changed token")
    _require(not torch.equal(model(tokens)[:, 5:], model(changed)[:, 5:]), "no token changes any logit")


def in_a_decoder_cached_equals_full(kind: Kind, spec: Spec) -> None:
    """In a causal model with the part in its layers, a cache changes nothing."""
    model = _decoder_only(kind, spec)
    tokens = torch.randint(4, V, (B, 9))
    with torch.no_grad():
        full, cache, steps, start = model.decode(tokens), model.new_cache(), [], 0
        for size in (4, 1, 2, 2):
            steps.append(model.decode(tokens[:, start : start + size], cache=cache))
            start += size
    _same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def in_an_encoder_padding_is_ignored(kind: Kind, spec: Spec) -> None:
    """In an encoder with the part in its layers, a padded sentence gives what it gives alone."""
    _seeded()
    stack = _with(kind, spec)
    cross = {"type": "multi_head", "n_heads": 2}
    data = {
        "d_model": D,
        "source": {"type": "tokens", "vocab_size": V},
        "target": {"share": "source"},
        "encoder": stack,
        "decoder": {"like": "encoder", "cross_attention": cross},
        "head": {"type": "language_model", "predicts": "target"},
    }
    model = cast(Any, _randomised(build(EncoderDecoderSpec.model_validate(data))))
    source, target = torch.randint(4, V, (B, S)), torch.randint(4, V, (B, T))
    real = torch.ones(B, S, dtype=torch.bool)
    real[1, 4:] = False
    logits = model(source, target, source_mask=real)
    alone = model(source[1:, :4], target[1:])
    _same(logits[1:], alone, "logits of a sentence in a padded batch and alone")
    other = torch.where(real, source, (source + 7) % V)
    _same(model(other, target, source_mask=real), logits, "logits after the padding's ids changed")


_LAWS: dict[str, list[Law]] = {
    ATTENTION.name: [
        *_module_laws(_attention, _attend, _any_x),
        future_tokens_have_no_influence,
        padded_tokens_have_no_influence,
        rows_with_nothing_to_attend_stay_finite,
        cached_equals_full,
        *_CROSS,
    ],
    FFN.name: [*_module_laws(_ffn, _call, _any_x), _positionwise(_ffn)],
    NORM.name: [*_module_laws(_norm, _call, _any_x), _positionwise(_norm)],
    POSITION.name: [hooks_keep_their_shapes, later_positions_alone_equal_those_of_the_whole],
    LAYOUT.name: [*_module_laws(_layout, _run_layout, _any_x), each_sublayer_runs_once_and_in_order],
    EMBEDDING.name: _module_laws(_embedding, _call, _ids),
    HEAD.name: [*_module_laws(_head, _call, _any_x, last=V), the_loss_is_that_of_the_logits],
    INITIALIZATION.name: [one_seed_gives_one_set_of_weights],
}
