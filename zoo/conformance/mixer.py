"""What every mixer must do."""

from __future__ import annotations

from typing import cast

import torch

from registry import Spec
from zoo.conformance.mixer_state import memory_laws, state_laws
from zoo.conformance.mixing import N, directions, memory_of, mix, mixer_fits, mixer_of
from zoo.conformance.modules import any_vectors, module_laws
from zoo.conformance.trials import B, D, Law, T, randomised, require, same, seeded, vectors
from zoo.kinds import MixerSpec
from zoo.masks import Mask


def mixer_laws(spec: Spec) -> list[Law]:
    """Those that apply to a mixer: of a causal stack, or with a memory, where it may stand there."""
    found = [
        *module_laws(mixer_of, mix, any_vectors),
        one_row_and_one_place_are_enough,
        a_row_alone_equals_the_row_in_a_batch,
        padded_tokens_have_no_influence,
        rows_of_padding_stay_finite,
        documents_do_not_mix,
        single_precision_is_kept_and_close,
    ]
    if mixer_fits(spec, "causal"):
        found += [later_tokens_have_no_influence, earlier_tokens_have_influence, *state_laws()]
    if cast(MixerSpec, spec).reads_memory:
        found += memory_laws()
    return found


def one_row_and_one_place_are_enough(spec: Spec) -> None:
    """One row, and one place, give one row and one place, equal to those among more where nothing else is seen."""
    seeded()
    module, x = randomised(mixer_of(spec)), vectors(N)
    for causal in directions(module, spec):
        out = mix(module, x[:1, :1], Mask(causal=causal))
        require(list(out.shape) == [1, 1, D], f"output {list(out.shape)}, wanted {[1, 1, D]}")
        keys = torch.arange(N)[None] < 1
        padded = mix(module, x[:1], Mask(causal=causal, keys=keys))
        same(padded[:, :1], out, "one real place among padding against it alone")


def a_row_alone_equals_the_row_in_a_batch(spec: Spec) -> None:
    """Rows of a batch have no influence on each other."""
    seeded()
    module, x = randomised(mixer_of(spec)), vectors(N)
    for causal in directions(module, spec):
        whole = mix(module, x, Mask(causal=causal))
        memory = {"memory": memory_of(B)[1:], "memory_mask": Mask()} if module.reads_memory else {}
        same(mix(module, x[1:], Mask(causal=causal), **memory), whole[1:], "a row alone and in a batch")


def padded_tokens_have_no_influence(spec: Spec) -> None:
    """Wherever padding stands, real outputs are those of the real tokens alone, whatever stands at padded places."""
    seeded()
    module, x = randomised(mixer_of(spec)), vectors(N)
    for causal in directions(module, spec):
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


def rows_of_padding_stay_finite(spec: Spec) -> None:
    """A row of nothing but padding gives finite outputs and gradients, also where its places hold none."""
    seeded()
    module, x = randomised(mixer_of(spec)).train(), vectors()
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


def documents_do_not_mix(spec: Spec) -> None:
    """Each of several documents of a row gives what it gives alone, padding among them or not."""
    seeded()
    module, x = randomised(mixer_of(spec)), vectors(N)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [4, 4, 4, 4, 4, 4, 3, 3, 3]])
    keys = torch.ones(B, N, dtype=torch.bool)
    keys[0, [2, 8]] = False
    keys[1, [0, 6]] = False
    for causal in directions(module, spec):
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


def single_precision_is_kept_and_close(spec: Spec) -> None:
    """In float32 the output is float32, and that of float64 but for rounding."""
    seeded()
    module, x = randomised(mixer_of(spec)), vectors()
    wanted = mix(module, x)
    out = mix(module.float(), x.float())
    require(out.dtype == torch.float32, f"the output of float32 is {out.dtype}")
    difference = (out - wanted).abs().max().item() / max(1.0, wanted.abs().max().item())
    require(difference < 1e-4, f"float32 and float64 differ by {difference:.3g}")


def later_tokens_have_no_influence(spec: Spec) -> None:
    """Under a causal mask, no output before a changed token changes."""
    seeded()
    module, x = randomised(mixer_of(spec)), vectors(N)
    changed = x.clone()
    changed[:, 5:] += 1
    outputs = [mix(module, given, Mask(causal=True))[:, :5] for given in (x, changed)]
    same(outputs[0], outputs[1], "under a causal mask, outputs before a changed token")


def earlier_tokens_have_influence(spec: Spec) -> None:
    """Under a causal mask, a place learns of the one before it: what does not mix is an ffn."""
    seeded()
    if cast(MixerSpec, spec).gives_nothing:
        return
    module, x = randomised(mixer_of(spec)), vectors(N)
    changed = x.clone()
    changed[:, 4] += 1
    outputs = [mix(module, given, Mask(causal=True))[:, 5] for given in (x, changed)]
    require(not torch.equal(*outputs), "no output depends on the token before it")
