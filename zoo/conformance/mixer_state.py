"""What every mixer must do with what it keeps, and with a memory where it reads one."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from zoo.conformance.mixing import N, memory_of, mix
from zoo.conformance.trials import B, Law, Part, S, randomised, require, same, seeded, vectors
from zoo.masks import Mask


def _in_steps(module: Any, x: Tensor, mask: Mask, sizes: tuple[int, ...]) -> Tensor:
    """What the mixer gives piece by piece, with what it keeps."""
    cache, steps, start = module.mixer.new_cache(), [], 0
    for size in sizes:
        stop = start + size
        keys, documents = (None if one is None else one[:, :stop] for one in (mask.keys, mask.documents))
        piece = Mask(causal=True, keys=keys, documents=documents, offset=start)
        steps.append(mix(module, x[:, start:stop], piece, cache=cache))
        start = stop
    return torch.cat(steps, 1)


_STEPS = ((1,) * N, (3, 1, 1, 4), (8, 1))


def state_equals_full(part: Part) -> None:
    """Token by token and in pieces of several sizes, outputs are those of all at once."""
    seeded()
    module, x, mask = randomised(part.make()), vectors(N), Mask(causal=True)
    with torch.no_grad():
        full = mix(module, x, mask)
        for sizes in _STEPS:
            same(_in_steps(module, x, mask, sizes), full, f"in pieces of {sizes} against all at once")


def state_with_padding_equals_full(part: Part) -> None:
    """The same where rows are padded, at the start as prompts are, or anywhere."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    for padded in ([0, 1, 2], [0, 3, 4, 5], [5, 7, 8]):
        keys = torch.ones(B, N, dtype=torch.bool)
        keys[1, padded] = False
        mask = Mask(causal=True, keys=keys)
        with torch.no_grad():
            full = mix(module, x, mask)
            for sizes in _STEPS:
                found = _in_steps(module, x, mask, sizes)
                same(found[keys], full[keys], f"padded, in pieces of {sizes} against all at once")


def state_with_documents_equals_full(part: Part) -> None:
    """The same where a document ends within a piece, or between two."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [4, 4, 4, 4, 4, 3, 3, 3, 3]])
    keys = torch.ones(B, N, dtype=torch.bool)
    keys[0, [2, 7]] = False
    for real in (None, keys):
        mask = Mask(causal=True, keys=real, documents=documents)
        with torch.no_grad():
            full = mix(module, x, mask)
            for sizes in _STEPS:
                found = _in_steps(module, x, mask, sizes)
                kept = torch.ones_like(keys) if real is None else real
                same(found[kept], full[kept], f"documents in pieces of {sizes} against all at once")


def reordered_rows_continue_what_they_name(part: Part) -> None:
    """What is kept, its rows reordered, goes on with those rows, more or fewer than before."""
    seeded()
    module, x = cast(Any, randomised(part.make())), vectors(7)
    cache, memory, given = module.mixer.new_cache(), memory_of(B), dict[str, Any]()
    with torch.no_grad():
        first = {"memory": memory, "memory_mask": Mask()} if module.reads_memory else {}
        mix(module, x[:, :4], Mask(causal=True), cache=cache, **first)
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
        full = mix(module, x, Mask(causal=True), **whole)
        for place in (4, 5, 6):
            step = Mask(causal=True, offset=place)
            new = mix(module, x[:, place : place + 1], step, cache=cache, **given)
            same(new, full[:, place : place + 1], "a step after rows were reordered against all at once")


def the_memory_has_influence(part: Part) -> None:
    """One that reads a memory gives something else for another one."""
    seeded()
    module, x = randomised(part.make()), vectors()
    outputs = [
        mix(module, x, Mask(causal=True), memory=memory, memory_mask=Mask())
        for memory in (memory_of(B), memory_of(B) + 1)
    ]
    require(not torch.equal(*outputs), "the memory changes nothing")


def padding_of_the_memory_has_no_influence(part: Part) -> None:
    """What stands at padded places of the memory changes no output, and a row gives what its real places alone give."""
    seeded()
    module, x, memory = randomised(part.make()), vectors(), memory_of(B)
    for padded in (slice(4, None), slice(0, 2)):
        keys = torch.ones(B, S, dtype=torch.bool)
        keys[1, padded] = False
        outputs = [
            mix(module, x, Mask(causal=True), memory=given, memory_mask=Mask(keys=keys))
            for given in (memory, torch.where(keys[..., None], memory, memory + 1))
        ]
        same(outputs[0], outputs[1], "outputs after the padding of the memory changed")
        real = memory[1:, keys[1]]
        alone = mix(module, x[1:], Mask(causal=True), memory=real, memory_mask=Mask())
        same(outputs[0][1:], alone, "a padded memory against its real places alone")


def selected_sentences_keep_their_memory(part: Part) -> None:
    """Later steps need no memory; rows of one sentence go on with its memory when others are dropped."""
    seeded()
    module, x, memory = cast(Any, randomised(part.make())), vectors(), memory_of(B)
    cache = module.mixer.new_cache()
    with torch.no_grad():
        mix(module, x[:, :2], Mask(causal=True), cache=cache, memory=memory, memory_mask=Mask())
        cache.reorder(torch.tensor([1, 1]))
        cache.select(torch.tensor([1]))
        several, later = x[[1, 1]], x[:, 2:] + 0.5
        later[0] -= 1
        several = torch.cat([several[:, :2], later], dim=1)
        full = mix(module, several, Mask(causal=True), memory=memory[[1, 1]], memory_mask=Mask())
        step = Mask(causal=True, offset=2)
        rest = mix(module, later, step, cache=cache, memory=None, memory_mask=Mask())
    same(rest, full[:, 2:], "with what is kept of one sentence's memory against that memory for each row")


STATE_LAWS = tuple(
    Law(check, ("causal", "cache"))
    for check in (
        state_equals_full,
        state_with_padding_equals_full,
        state_with_documents_equals_full,
        reordered_rows_continue_what_they_name,
    )
)
MEMORY_LAWS = tuple(
    Law(check, ("memory",))
    for check in (
        the_memory_has_influence,
        padding_of_the_memory_has_no_influence,
        selected_sentences_keep_their_memory,
    )
)
