"""What every mixer must do."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Spec, check
from zoo.assembly.layer import heads
from zoo.conformance.modules import any_vectors, module_laws
from zoo.conformance.trials import B, D, Law, S, T, randomised, require, same, seeded, vectors
from zoo.kinds import MIXER, POSITION, MixerSpec
from zoo.masks import Mask

N = 9
"""Places of the longer trials."""


def mixer_laws(spec: Spec) -> list[Law]:
    """Those that apply to a mixer: of a causal stack, or with a memory, where it may stand there."""
    found = [
        *module_laws(_mixer, _mix, any_vectors),
        one_row_and_one_place_are_enough,
        a_row_alone_equals_the_row_in_a_batch,
        padded_tokens_have_no_influence,
        rows_of_padding_stay_finite,
        documents_do_not_mix,
        single_precision_is_kept_and_close,
    ]
    if mixer_fits(spec, "causal"):
        found += [
            later_tokens_have_no_influence,
            earlier_tokens_have_influence,
            state_equals_full,
            state_with_padding_equals_full,
            state_with_documents_equals_full,
            reordered_rows_continue_what_they_name,
        ]
    if cast(MixerSpec, spec).reads_memory:
        found += [
            the_memory_has_influence,
            padding_of_the_memory_has_no_influence,
            selected_sentences_keep_their_memory,
        ]
    return found


def mixer_fits(spec: Spec, role: str) -> bool:
    """Whether a mixer may have this role at these sizes."""
    return not check(spec, "", d_model=D, role=role, position=_position(spec))


def _position(spec: Spec) -> Spec:
    """The spec of a position that the mixer accepts: none if it can do without."""
    for name in sorted(POSITION.names(), key=lambda name: name != "none"):
        for position in POSITION.examples(name):
            if any(
                not check(spec, "", d_model=D, role=role, position=position) for role in ("self", "causal")
            ):
                return position
    raise AssertionError("no registered position fits this mixer at these sizes: see its check")


class _Mixer(nn.Module):
    """A mixer with the positions that it needs, in the one direction that it is tried in."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        position = _position(spec)
        self.mixer = MIXER.build(spec, d_model=D)
        self.position = None
        if position.type != "none":
            self.position = POSITION.build(position, d_model=D, n_heads=heads(spec))
        self.reads_memory = cast(MixerSpec, spec).reads_memory
        self.is_causal = not mixer_fits(spec, "self")

    def forward(
        self,
        x: Tensor,
        *,
        mask: Mask,
        cache: Any = None,
        memory: Tensor | None = None,
        memory_mask: Mask | None = None,
    ) -> Tensor:
        read = {"memory": memory, "memory_mask": memory_mask} if self.reads_memory else {}
        return self.mixer(x, mask=mask, position=self.position, cache=cache, **read)


def _mixer(spec: Spec) -> nn.Module:
    return _Mixer(spec)


def _memory(n_rows: int) -> Tensor:
    """What a mixer with a memory is given, the same at each call: [n, S, D]."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(n_rows, S, D, dtype=torch.float64, generator=generator)


def _mix(module: nn.Module, x: Tensor, mask: Mask | None = None, **given: Any) -> Tensor:
    """What the mixer gives: under no mask in both directions, where it may stand in such a stack."""
    if mask is None:
        mask = Mask(causal=bool(module.is_causal))
    if module.reads_memory and "memory" not in given:
        given = {"memory": _memory(len(x)).to(x.dtype), "memory_mask": Mask(), **given}
    return module(x, mask=mask, **given)


def _directions(module: nn.Module, spec: Spec) -> list[bool]:
    """Whether the mask is causal, in each role that the mixer may have."""
    return [causal for causal, role in ((False, "self"), (True, "causal")) if mixer_fits(spec, role)]


def one_row_and_one_place_are_enough(spec: Spec) -> None:
    """One row, and one place, give one row and one place, equal to those among more where nothing else is seen."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    for causal in _directions(module, spec):
        out = _mix(module, x[:1, :1], Mask(causal=causal))
        require(list(out.shape) == [1, 1, D], f"output {list(out.shape)}, wanted {[1, 1, D]}")
        keys = torch.arange(N)[None] < 1
        padded = _mix(module, x[:1], Mask(causal=causal, keys=keys))
        same(padded[:, :1], out, "one real place among padding against it alone")


def a_row_alone_equals_the_row_in_a_batch(spec: Spec) -> None:
    """Rows of a batch have no influence on each other."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    for causal in _directions(module, spec):
        whole = _mix(module, x, Mask(causal=causal))
        memory = {"memory": _memory(B)[1:], "memory_mask": Mask()} if module.reads_memory else {}
        same(_mix(module, x[1:], Mask(causal=causal), **memory), whole[1:], "a row alone and in a batch")


def padded_tokens_have_no_influence(spec: Spec) -> None:
    """Wherever padding stands, real outputs are those of the real tokens alone, whatever stands at padded places."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    for causal in _directions(module, spec):
        for padded in (slice(6, None), slice(0, 3), [0, 4, 5, 8]):
            keys = torch.ones(B, N, dtype=torch.bool)
            keys[1, padded] = False
            mask = Mask(causal=causal, keys=keys)
            out = _mix(module, x, mask)
            changed = _mix(module, torch.where(keys[..., None], x, x + 1), mask)
            same(changed[keys], out[keys], "outputs of real tokens after the padding changed")
            memory = {"memory": _memory(B)[1:], "memory_mask": Mask()} if module.reads_memory else {}
            alone = _mix(module, x[1:, keys[1]], Mask(causal=causal), **memory)
            same(out[1:, keys[1]], alone, "a padded row against its real tokens alone")


def rows_of_padding_stay_finite(spec: Spec) -> None:
    """A row of nothing but padding gives finite outputs and gradients, also where its places hold none."""
    seeded()
    module, x = randomised(_mixer(spec)).train(), vectors()
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0] = False
    x = torch.where(keys[..., None], x, float("nan")).requires_grad_()
    out = _mix(module, x, Mask(causal=bool(module.is_causal), keys=keys))
    require(bool(out.isfinite().all()), "an output is not finite")
    if not out.requires_grad:  # it gives a constant
        return
    out.sum().backward()
    assert x.grad is not None
    require(bool(x.grad.isfinite().all()), "a gradient is not finite")
    for name, parameter in module.named_parameters():
        is_finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        require(is_finite, f"the gradient of {name} is not finite")


def documents_do_not_mix(spec: Spec) -> None:
    """Each of several documents of a row gives what it gives alone, padding among them or not."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [4, 4, 4, 4, 4, 4, 3, 3, 3]])
    keys = torch.ones(B, N, dtype=torch.bool)
    keys[0, [2, 8]] = False
    keys[1, [0, 6]] = False
    for causal in _directions(module, spec):
        for real in (None, keys):
            out = _mix(module, x, Mask(causal=causal, keys=real, documents=documents))
            for row, ids in enumerate(documents):
                memory = (
                    {"memory": _memory(B)[row : row + 1], "memory_mask": Mask()}
                    if module.reads_memory
                    else {}
                )
                for one in ids.unique():
                    own = (ids == one) & (keys[row] if real is not None else True)
                    alone = _mix(module, x[row : row + 1, own], Mask(causal=causal), **memory)
                    same(out[row : row + 1, own], alone, "a document among others against it alone")


def single_precision_is_kept_and_close(spec: Spec) -> None:
    """In float32 the output is float32, and that of float64 but for rounding."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors()
    wanted = _mix(module, x)
    out = _mix(module.float(), x.float())
    require(out.dtype == torch.float32, f"the output of float32 is {out.dtype}")
    difference = (out - wanted).abs().max().item() / max(1.0, wanted.abs().max().item())
    require(difference < 1e-4, f"float32 and float64 differ by {difference:.3g}")


def later_tokens_have_no_influence(spec: Spec) -> None:
    """Under a causal mask, no output before a changed token changes."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    changed = x.clone()
    changed[:, 5:] += 1
    outputs = [_mix(module, given, Mask(causal=True))[:, :5] for given in (x, changed)]
    same(outputs[0], outputs[1], "under a causal mask, outputs before a changed token")


def earlier_tokens_have_influence(spec: Spec) -> None:
    """Under a causal mask, a place learns of the one before it: what does not mix is an ffn."""
    seeded()
    if cast(MixerSpec, spec).gives_nothing:
        return
    module, x = randomised(_mixer(spec)), vectors(N)
    changed = x.clone()
    changed[:, 4] += 1
    outputs = [_mix(module, given, Mask(causal=True))[:, 5] for given in (x, changed)]
    require(not torch.equal(*outputs), "no output depends on the token before it")


def _in_steps(module: Any, x: Tensor, mask: Mask, sizes: tuple[int, ...]) -> Tensor:
    """What the mixer gives piece by piece, with what it keeps."""
    cache, steps, start = module.mixer.new_cache(), [], 0
    for size in sizes:
        stop = start + size
        keys, documents = (None if one is None else one[:, :stop] for one in (mask.keys, mask.documents))
        piece = Mask(causal=True, keys=keys, documents=documents, offset=start)
        steps.append(_mix(module, x[:, start:stop], piece, cache=cache))
        start = stop
    return torch.cat(steps, 1)


_STEPS = ((1,) * N, (3, 1, 1, 4), (8, 1))


def state_equals_full(spec: Spec) -> None:
    """Token by token and in pieces of several sizes, outputs are those of all at once."""
    seeded()
    module, x, mask = randomised(_mixer(spec)), vectors(N), Mask(causal=True)
    with torch.no_grad():
        full = _mix(module, x, mask)
        for sizes in _STEPS:
            same(_in_steps(module, x, mask, sizes), full, f"in pieces of {sizes} against all at once")


def state_with_padding_equals_full(spec: Spec) -> None:
    """The same where rows are padded, at the start as prompts are, or anywhere."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    for padded in ([0, 1, 2], [0, 3, 4, 5], [5, 7, 8]):
        keys = torch.ones(B, N, dtype=torch.bool)
        keys[1, padded] = False
        mask = Mask(causal=True, keys=keys)
        with torch.no_grad():
            full = _mix(module, x, mask)
            for sizes in _STEPS:
                found = _in_steps(module, x, mask, sizes)
                same(found[keys], full[keys], f"padded, in pieces of {sizes} against all at once")


def state_with_documents_equals_full(spec: Spec) -> None:
    """The same where a document ends within a piece, or between two."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors(N)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [4, 4, 4, 4, 4, 3, 3, 3, 3]])
    keys = torch.ones(B, N, dtype=torch.bool)
    keys[0, [2, 7]] = False
    for real in (None, keys):
        mask = Mask(causal=True, keys=real, documents=documents)
        with torch.no_grad():
            full = _mix(module, x, mask)
            for sizes in _STEPS:
                found = _in_steps(module, x, mask, sizes)
                kept = torch.ones_like(keys) if real is None else real
                same(found[kept], full[kept], f"documents in pieces of {sizes} against all at once")


def reordered_rows_continue_what_they_name(spec: Spec) -> None:
    """What is kept, its rows reordered, goes on with those rows, more or fewer than before."""
    seeded()
    module, x = cast(Any, randomised(_mixer(spec))), vectors(7)
    cache, memory, given = module.mixer.new_cache(), _memory(B), dict[str, Any]()
    with torch.no_grad():
        first = {"memory": memory, "memory_mask": Mask()} if module.reads_memory else {}
        _mix(module, x[:, :4], Mask(causal=True), cache=cache, **first)
        if module.reads_memory:  # a memory of both sentences stays: rows move within those of a sentence
            order, given = [[0, 0, 1, 1], [1, 0, 3, 2]], {"memory": None, "memory_mask": Mask()}
        else:
            order = [[1, 1, 0], [1, 2]]
        of = torch.arange(B)
        for rows in order:
            if cache is not None:
                cache.reorder(torch.tensor(rows))
            x, of = x[rows], of[rows]
        whole = {"memory": memory[of], "memory_mask": Mask()} if module.reads_memory else {}
        full = _mix(module, x, Mask(causal=True), **whole)
        for place in (4, 5, 6):
            step = Mask(causal=True, offset=place)
            new = _mix(module, x[:, place : place + 1], step, cache=cache, **given)
            same(new, full[:, place : place + 1], "a step after rows were reordered against all at once")


def the_memory_has_influence(spec: Spec) -> None:
    """One that reads a memory gives something else for another one."""
    seeded()
    module, x = randomised(_mixer(spec)), vectors()
    outputs = [
        _mix(module, x, Mask(causal=True), memory=memory, memory_mask=Mask())
        for memory in (_memory(B), _memory(B) + 1)
    ]
    require(not torch.equal(*outputs), "the memory changes nothing")


def padding_of_the_memory_has_no_influence(spec: Spec) -> None:
    """What stands at padded places of the memory changes no output, and a row gives what its real places alone give."""
    seeded()
    module, x, memory = randomised(_mixer(spec)), vectors(), _memory(B)
    for padded in (slice(4, None), slice(0, 2)):
        keys = torch.ones(B, S, dtype=torch.bool)
        keys[1, padded] = False
        outputs = [
            _mix(module, x, Mask(causal=True), memory=given, memory_mask=Mask(keys=keys))
            for given in (memory, torch.where(keys[..., None], memory, memory + 1))
        ]
        same(outputs[0], outputs[1], "outputs after the padding of the memory changed")
        real = memory[1:, keys[1]]
        alone = _mix(module, x[1:], Mask(causal=True), memory=real, memory_mask=Mask())
        same(outputs[0][1:], alone, "a padded memory against its real places alone")


def selected_sentences_keep_their_memory(spec: Spec) -> None:
    """Later steps need no memory; rows of one sentence go on with its memory when others are dropped."""
    seeded()
    module, x, memory = cast(Any, randomised(_mixer(spec))), vectors(), _memory(B)
    cache = module.mixer.new_cache()
    with torch.no_grad():
        _mix(module, x[:, :2], Mask(causal=True), cache=cache, memory=memory, memory_mask=Mask())
        cache.reorder(torch.tensor([1, 1]))
        cache.select(torch.tensor([1]))
        several, later = x[[1, 1]], x[:, 2:] + 0.5
        later[0] -= 1
        several = torch.cat([several[:, :2], later], dim=1)
        full = _mix(module, several, Mask(causal=True), memory=memory[[1, 1]], memory_mask=Mask())
        step = Mask(causal=True, offset=2)
        rest = _mix(module, later, step, cache=cache, memory=None, memory_mask=Mask())
    same(rest, full[:, 2:], "with what is kept of one sentence's memory against that memory for each row")
