"""What every attention must do."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from registry import Spec, check
from zoo import costs
from zoo.amounts import amount
from zoo.assembly.layer import heads
from zoo.assembly.usage import reads
from zoo.conformance.described import DESCRIBED_LAWS, DRAWN
from zoo.conformance.modules import MODULE_LAWS, ONE_PLACE, ROWS
from zoo.conformance.trials import B, D, Law, Part, S, T, randomised, require, same, seeded, vectors
from zoo.kinds import ATTENTION, POSITION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


def fits(spec: Spec, role: str, position: Spec | None) -> bool:
    """Whether an attention may have this role at these sizes, and meet that position."""
    return not check(spec, "", d_model=D, role=role, position=position)


def partner(attention: Spec) -> Spec:
    """The spec of a position that the attention accepts: none if it can do without."""
    found = possible_partner(attention)
    assert found is not None, "no registered position fits this attention at these sizes: see its check"
    return found


def possible_partner(attention: Spec) -> Spec | None:
    """The same; None where it accepts none, or fits no sizes of the laws."""
    for name in sorted(POSITION.names(), key=lambda name: name != "none"):
        for position in POSITION.examples(name):
            if fits(attention, "self", position):
                return position
    return None


class _Attention(nn.Module):
    """An attention and, for one that needs it, the positions it reads."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        positions = partner(spec)
        self.attention = ATTENTION.build(spec, d_model=D)
        self.position = None
        if positions.type != "none":
            self.position = POSITION.build(positions, d_model=D, n_heads=heads(spec))

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


def attention_part(spec: Spec) -> Part:
    """The part that a spec describes; what it lacks are roles that it may not have."""
    lacks = _refused_roles(spec)
    turns = POSITION.entry("rotary").spec()
    if not (reads(spec, turns) and any(fits(spec, role, turns) for role in ("self", "causal"))):
        lacks["turns"] = "it takes no positions that turn queries and keys"
    return Part(ATTENTION, spec, lambda: _Attention(spec), run=attend, lacks=lacks)


def _refused_roles(spec: Spec) -> dict[str, str]:
    positions = partner(spec)
    found = {}
    for role in ("self", "causal", "cross"):
        problems = check(spec, "", d_model=D, role=role, position=None if role == "cross" else positions)
        if problems:
            found[role] = f"it may not be '{role}': {problems[0].message}"
    return found


class _Inverse(Position):
    """Turns keys otherwise than queries, and no product by that."""

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        return x * 3

    def rotate_keys(self, x: Tensor, *, mask: Mask) -> Tensor:
        return x / 3


def attend(module: nn.Module, x: Tensor, mask: Mask | None = None) -> Tensor:
    """What an attention gives for x, as self-attention."""
    return module(x, mask=mask or Mask())


def _fused_flops(q: list[int], k: list[int], v: list[int], *rest: Any, **named: Any) -> int:
    """Operations of torch's fused attention on a CPU, which its counter does not know: q kᵀ and the weights times v."""
    (B, H, T, K), S, Kv = q, k[2], v[3]
    return 2 * B * H * T * S * (K + Kv)


_FUSED = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _fused_flops}


def its_cost_is_what_runs(part: Part) -> None:
    """For one token, and for the most up to four that it lets see each other, the operations of a forward pass that the
    spec says are those that torch counts of it.
    """
    role = "causal" if "self" in part.lacks else "self"
    mask = Mask(causal=role == "causal")
    for length in {1, next((n for n in (4, 3, 2) if _shows_all(part, n, mask)), 1)}:
        seeded()
        module, batch = part.make().double(), Batch(B * length, length)
        said = costs.cost(
            ATTENTION, part.spec, d_model=D, role=role, position=partner(part.spec), batch=batch
        ).forward
        with FlopCounterMode(display=False, custom_mapping=_FUSED) as counter:
            attend(module, vectors(length), mask)
        counted = counter.get_total_flops()
        require(
            said == counted,
            f"for {amount(length, 'token')} its formula says {said} operations, torch counts {counted}",
        )


def _shows_all(part: Part, length: int, mask: Mask) -> bool:
    """Whether the last output depends on the first token, and the other way round."""
    seeded()
    module, x = randomised(part.make()), vectors(length).requires_grad_()
    out = attend(module, x, mask)
    ends = [(-1, 0)] if mask.causal else [(-1, 0), (0, -1)]
    return out.requires_grad and all(
        bool(torch.autograd.grad(out[:, place].sum(), x, retain_graph=True)[0][:, seen].any())
        for place, seen in ends
    )


def future_tokens_have_no_influence(part: Part) -> None:
    """Under a causal mask, no output before a changed token changes."""
    seeded()
    module, x = randomised(part.make()), vectors(9)
    changed = x.clone()
    changed[:, 5:] += 1
    causal = attend(module, x, Mask(causal=True)), attend(module, changed, Mask(causal=True))
    same(causal[0][:, :5], causal[1][:, :5], "under a causal mask, outputs before a changed token")


def padded_tokens_have_no_influence(part: Part) -> None:
    """What stands at padded places changes no real output, and a padded row equals the same row alone."""
    seeded()
    module, x = randomised(part.make()), vectors(9)
    keys = torch.ones(B, 9, dtype=torch.bool)
    keys[1, 6:] = False
    changed = torch.where(keys[..., None], x, x + 1)
    outputs = [attend(module, given, Mask(keys=keys)) for given in (x, changed)]
    same(outputs[0][keys], outputs[1][keys], "outputs of real tokens after the padding changed")
    alone = attend(module, x[1:, :6])
    same(outputs[0][1:, :6], alone, "a padded row against the same row alone, unpadded")
    for padded in ([0, 1, 2], [0, 4, 5, 8]):
        keys = torch.ones(B, 9, dtype=torch.bool)
        keys[1, padded] = False
        changed = torch.where(keys[..., None], x, x + 1)
        outputs = [attend(module, given, Mask(keys=keys)) for given in (x, changed)]
        same(outputs[0][keys], outputs[1][keys], "outputs of real tokens after padding before them changed")


def a_radius_hides_what_is_farther(part: Part) -> None:
    """Under a radius each output is that of its window alone, or such a mask is refused."""
    seeded()
    module, x, radius = randomised(part.make()), vectors(9), 2
    for causal in [role == "causal" for role in ("self", "causal") if role not in part.lacks]:
        try:
            found = attend(module, x, Mask(causal=causal, radius=radius))
        except ValueError:
            continue
        for place in range(9):
            first, last = max(0, place - radius), 9 if causal else place + radius + 1
            window = attend(module, x[:, first:last], Mask(causal=causal))
            same(
                found[:, place], window[:, place - first], "an output under a radius against its window alone"
            )


def keys_turn_by_the_hook_of_keys(part: Part) -> None:
    """Positions that scale new keys by the inverse of what they scale queries by change nothing."""
    seeded()
    module, x = cast(Any, randomised(part.make())), vectors(9)
    mask = Mask(causal="self" in part.lacks)
    plain, turned = (
        module.attention(x, None, mask=mask, position=position, cache=None)
        for position in (Position(), _Inverse())
    )
    same(plain, turned, "with positions whose products are the same")


def more_queries_than_keys_are_refused(part: Part) -> None:
    """Under a causal mask, more queries than places of the keys are refused with a ValueError."""
    seeded()
    module, x = randomised(part.make()), vectors(S)
    try:
        module(x, x[:, :T], mask=Mask(causal=True))
    except ValueError:
        return
    raise AssertionError(f"{S} queries meet {T} keys under a causal mask, and nothing is said")


def rows_with_nothing_to_attend_stay_finite(part: Part) -> None:
    """A row of nothing but padding gives finite outputs and gradients."""
    seeded()
    module, x = randomised(part.make()).train(), vectors().requires_grad_()
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0] = False
    out = attend(module, x, Mask(keys=keys))
    require(bool(out.isfinite().all()), "an output is not finite")
    if not out.requires_grad:  # it gives a constant
        return
    out.sum().backward()
    assert x.grad is not None
    require(bool(x.grad.isfinite().all()), "a gradient is not finite")


def cached_equals_full(part: Part) -> None:
    """In steps of several sizes with a cache, outputs are those of all at once."""
    seeded()
    module, x = cast(Any, randomised(part.make())), vectors(9)
    cache = module.attention.new_cache()
    with torch.no_grad():
        full = attend(module, x, Mask(causal=True))
        steps, start = [], 0
        for size in (3, 1, 1, 4):
            new = x[:, start : start + size]
            steps.append(module(new, mask=Mask(causal=True, offset=start), cache=cache))
            start += size
    same(torch.cat(steps, 1), full, "token by token with a cache against all at once")


def reordered_rows_continue_what_they_name(part: Part) -> None:
    """A cache whose rows are reordered goes on with those rows, more or fewer than before."""
    seeded()
    module, x = cast(Any, randomised(part.make())), vectors(7)
    cache = module.attention.new_cache()
    with torch.no_grad():
        module(x[:, :4], mask=Mask(causal=True), cache=cache)
        for rows in ([1, 1, 0], [1, 2]):  # in all, the two change places
            if cache is not None:
                cache.reorder(torch.tensor(rows))
            x = x[rows]
        full = attend(module, x, Mask(causal=True))
        for place in (4, 5, 6):
            new = module(x[:, place : place + 1], mask=Mask(causal=True, offset=place), cache=cache)
            same(new, full[:, place : place + 1], "a step after rows were reordered against all at once")


def across_two_sequences_the_queries_give_the_shape(part: Part) -> None:
    """Cross-attention maps queries [B, T, D] and memory [B, S, D] to [B, T, D]."""
    seeded()
    out = randomised(part.make())(vectors(), vectors(S), mask=Mask(), is_cross=True)
    require(list(out.shape) == [B, T, D], f"output {list(out.shape)}, wanted {[B, T, D]}")


def padding_of_the_memory_has_no_influence(part: Part) -> None:
    """What stands at padded places of the memory changes no output."""
    seeded()
    module, x, memory = randomised(part.make()), vectors(), vectors(S)
    keys = torch.ones(B, S, dtype=torch.bool)
    keys[1, 4:] = False
    outputs = [
        module(x, given, mask=Mask(keys=keys), is_cross=True)
        for given in (memory, torch.where(keys[..., None], memory, memory + 1))
    ]
    same(outputs[0], outputs[1], "outputs after the padding of the memory changed")


def cached_memory_equals_memory(part: Part) -> None:
    """With keys and values kept from the first call, later calls need no memory."""
    seeded()
    module, x, memory = cast(Any, randomised(part.make())), vectors(), vectors(S)
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


LAWS = (
    *MODULE_LAWS,
    ROWS,
    ONE_PLACE,
    *DESCRIBED_LAWS,
    Law(its_cost_is_what_runs, ("spec",)),
    DRAWN,
    Law(padded_tokens_have_no_influence, ("self",)),
    Law(a_radius_hides_what_is_farther),
    Law(keys_turn_by_the_hook_of_keys, ("turns", "cache")),
    Law(more_queries_than_keys_are_refused, ("causal",)),
    Law(rows_with_nothing_to_attend_stay_finite, ("self",)),
    Law(future_tokens_have_no_influence, ("causal",)),
    Law(cached_equals_full, ("causal", "cache")),
    Law(reordered_rows_continue_what_they_name, ("causal", "cache")),
    Law(across_two_sequences_the_queries_give_the_shape, ("cross",)),
    Law(padding_of_the_memory_has_no_influence, ("cross",)),
    Law(cached_memory_equals_memory, ("cross", "cache")),
)
