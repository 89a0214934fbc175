"""What every mixer must do."""

from __future__ import annotations

import torch

from zoo.conformance.described import COST, DESCRIBED_LAWS, DRAWN
from zoo.conformance.mixer_state import MEMORY_LAWS, STATE_LAWS
from zoo.conformance.mixing import N, directions, memory_of, mix
from zoo.conformance.modules import MODULE_LAWS
from zoo.conformance.trials import B, D, Law, Part, T, randomised, require, same, seeded, vectors
from zoo.masks import Mask


def one_row_and_one_place_are_enough(part: Part) -> None:
    """One row, and one place, give one row and one place, equal to those among more where nothing else is seen."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    for causal in directions(part):
        out = mix(module, x[:1, :1], Mask(causal=causal))
        require(list(out.shape) == [1, 1, D], f"output {list(out.shape)}, wanted {[1, 1, D]}")
        keys = torch.arange(N)[None] < 1
        padded = mix(module, x[:1], Mask(causal=causal, keys=keys))
        same(padded[:, :1], out, "one real place among padding against it alone")


def a_row_alone_equals_the_row_in_a_batch(part: Part) -> None:
    """Rows of a batch have no influence on each other."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    for causal in directions(part):
        whole = mix(module, x, Mask(causal=causal))
        memory = {"memory": memory_of(B)[1:], "memory_mask": Mask()} if module.reads_memory else {}
        same(mix(module, x[1:], Mask(causal=causal), **memory), whole[1:], "a row alone and in a batch")


def padded_tokens_have_no_influence(part: Part) -> None:
    """Wherever padding stands, real outputs are those of the real tokens alone, whatever stands at padded places."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    for causal in directions(part):
        for padded in (slice(6, None), slice(0, 3), [0, 4, 5, 8]):
            keys = torch.ones(B, N, dtype=torch.bool)
            keys[1, padded] = False
            mask = Mask(causal=causal, keys=keys)
            out = mix(module, x, mask)
            changed = mix(module, torch.where(keys[..., None], x, x + 1), mask)
            same(changed[keys], out[keys], "outputs of real tokens after the padding changed")
            memory = {"memory": memory_of(B)[1:], "memory_mask": Mask()} if module.reads_memory else {}
            alone = mix(module, x[1:, keys[1]], Mask(causal=causal), **memory)
            same(out[1:, keys[1]], alone, "a padded row against its real tokens alone")


def rows_of_padding_stay_finite(part: Part) -> None:
    """A row of nothing but padding gives finite outputs and gradients, also where its places hold none."""
    seeded()
    module, x = randomised(part.make()).train(), vectors()
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0] = False
    x = torch.where(keys[..., None], x, float("nan")).requires_grad_()
    out = mix(module, x, Mask(causal=bool(module.is_causal), keys=keys))
    require(bool(out.isfinite().all()), "an output is not finite")
    if not out.requires_grad:  # it gives a constant
        return
    out.sum().backward()
    assert x.grad is not None
    require(bool(x.grad.isfinite().all()), "a gradient is not finite")
    for name, parameter in module.named_parameters():
        is_finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        require(is_finite, f"the gradient of {name} is not finite")


def documents_do_not_mix(part: Part) -> None:
    """Each of several documents of a row gives what it gives alone, padding among them or not."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [4, 4, 4, 4, 4, 4, 3, 3, 3]])
    keys = torch.ones(B, N, dtype=torch.bool)
    keys[0, [2, 8]] = False
    keys[1, [0, 6]] = False
    for causal in directions(part):
        for real in (None, keys):
            out = mix(module, x, Mask(causal=causal, keys=real, documents=documents))
            for row, ids in enumerate(documents):
                memory = (
                    {"memory": memory_of(B)[row : row + 1], "memory_mask": Mask()}
                    if module.reads_memory
                    else {}
                )
                for one in ids.unique():
                    own = (ids == one) & (keys[row] if real is not None else True)
                    alone = mix(module, x[row : row + 1, own], Mask(causal=causal), **memory)
                    same(out[row : row + 1, own], alone, "a document among others against it alone")


def later_tokens_have_no_influence(part: Part) -> None:
    """Under a causal mask, no output before a changed token changes."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    changed = x.clone()
    changed[:, 5:] += 1
    outputs = [mix(module, given, Mask(causal=True))[:, :5] for given in (x, changed)]
    same(outputs[0], outputs[1], "under a causal mask, outputs before a changed token")


def earlier_tokens_have_influence(part: Part) -> None:
    """Under a causal mask, a place learns of the one before it: what does not mix is an ffn."""
    seeded()
    module, x = randomised(part.make()), vectors(N)
    changed = x.clone()
    changed[:, 4] += 1
    outputs = [mix(module, given, Mask(causal=True))[:, 5] for given in (x, changed)]
    require(not torch.equal(*outputs), "no output depends on the token before it")


LAWS = (
    *MODULE_LAWS,
    *DESCRIBED_LAWS,
    COST,
    DRAWN,
    Law(one_row_and_one_place_are_enough, ("keys",)),
    Law(a_row_alone_equals_the_row_in_a_batch),
    Law(padded_tokens_have_no_influence, ("keys",)),
    Law(rows_of_padding_stay_finite, ("keys",)),
    Law(documents_do_not_mix, ("documents",)),
    Law(later_tokens_have_no_influence, ("causal",)),
    Law(earlier_tokens_have_influence, ("causal", "content")),
    *STATE_LAWS,
    *MEMORY_LAWS,
)
