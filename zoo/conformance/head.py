"""What every head must do."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.conformance.described import DRAWN, SPEC
from zoo.conformance.modules import MODULE_LAWS, ROWS
from zoo.conformance.trials import B, D, Law, Part, T, V, randomised, require, same, seeded, vectors
from zoo.kinds import EMBEDDING, HEAD


def head_part(spec: Spec) -> Part:
    """The part that a spec describes; one may lack a `loss`, or that of `labels` place by place."""
    learns = getattr(spec, "learns", None)
    lacks = {} if learns == "token" else {"labels": "it predicts no label for each place"}
    if learns is None:
        lacks["loss"] = "it has no loss"
    return Part(HEAD, spec, lambda: _head(spec), shape=lambda given: _of_head(spec, given), lacks=lacks)


def _head(spec: Spec) -> nn.Module:
    tokens = EMBEDDING.entry("tokens").spec.model_validate({"vocab_size": V})
    names = [getattr(spec, "predicts", "inputs")]
    return HEAD.build(
        spec, d_model=D, embeddings={name: EMBEDDING.build(tokens, d_model=D) for name in names}
    )


def padded_vectors_do_not_reach_the_output(part: Part) -> None:
    """What stands at padded places changes neither the output of real ones nor that of the sequence."""
    seeded()
    module, x = randomised(part.make()), vectors()
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 3:] = False
    outputs = [module(given, mask=mask) for given in (x, torch.where(mask[..., None], x, x + 1))]
    if outputs[0].shape[:2] == x.shape[:2]:
        outputs = [out[mask] for out in outputs]
    same(outputs[0], outputs[1], "the output after the padding changed")


def _of_head(spec: Spec, given: Tensor) -> list[int]:
    return [len(given), T, V] if hasattr(spec, "predicts") else [len(given)]


def the_loss_is_that_of_the_logits(part: Part) -> None:
    """A head that predicts labels place by place computes the cross-entropy of its logits."""
    head, (hidden, labels) = _learner(part), _targets(part.spec)
    sums = head.loss(hidden, labels, label_smoothing=0.2)
    for given, smoothing in ((sums.loss, 0.2), (sums.nll, 0.0)):
        wanted = nn.functional.cross_entropy(head(hidden), labels, label_smoothing=smoothing, reduction="sum")
        require(
            bool((given - wanted).abs() <= 1e-4 * wanted.abs()),
            f"loss {given.item()}, by logits {wanted.item()}",
        )


def the_loss_adds_up(part: Part) -> None:
    """The sums of a batch are those of its parts together; the loss has a gradient, the likelihood has none."""
    head, given = _learner(part), _targets(part.spec)
    named: dict[str, dict[str, Any]] = {
        "token": {"label_smoothing": 0.0},
        "value": {"scale": None},
        "sequence": {"mask": None, "label_smoothing": 0.0},
        "numbers": {"mask": None, "scale": None},
        "transcript": {"mask": None, "label_mask": None},
    }
    further = named[part.spec.learns]
    whole = head.loss(*given, **further)
    parts = [head.loss(*(x[i : i + 2] for x in given), **further) for i in (0, 2, 4)]
    for name in ("loss", "nll", "count"):
        total, *each = (torch.as_tensor(getattr(sums, name)).item() for sums in (whole, *parts))
        require(abs(total - sum(each)) <= 1e-4 * abs(total), f"{name} is {total}, of its parts {each}")
    require(isinstance(whole.count, int), f"count is {type(whole.count).__name__}, not int")
    require(whole.loss.requires_grad, "the loss has no gradient")
    require(not whole.nll.requires_grad, "the negative log likelihood has a gradient")


def _learner(part: Part) -> Any:
    seeded()
    return cast(Any, randomised(part.make()).float())


def _targets(spec: Any) -> tuple[Tensor, Tensor]:
    """Random vectors of six places or sequences, and what a head is to learn of them."""
    hidden = torch.randn(6, D) if spec.learns in ("token", "value") else torch.randn(6, T, D)
    n_labels: int = getattr(spec, "n_classes", getattr(spec, "vocab_size", V))
    if spec.learns in ("value", "numbers"):
        return hidden, torch.randn(6, spec.n_outputs)
    if spec.learns == "transcript":
        possible = [label for label in range(n_labels) if label != spec.blank]
        return hidden, torch.tensor(possible)[torch.randint(len(possible), (6, 2))]
    if spec.learns == "sequence" and n_labels == 1:
        return hidden, torch.randn(6)
    return hidden, torch.randint(n_labels, (6,))


LAWS = (
    *MODULE_LAWS,
    ROWS,
    SPEC,
    DRAWN,
    Law(padded_vectors_do_not_reach_the_output),
    Law(the_loss_is_that_of_the_logits, ("labels",)),
    Law(the_loss_adds_up, ("loss",)),
)
