"""What every positional encoding must do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from registry import Spec, check
from zoo.conformance.described import DESCRIBED_LAWS
from zoo.conformance.trials import B, D, H, Law, Part, S, T, randomised, require, same, seeded, vectors
from zoo.kinds import POSITION
from zoo.masks import Mask


def position_part(spec: Spec) -> Part:
    """The part that a spec describes; one that may not stand in a causal stack lacks `causal`."""
    problems = check(spec, "", d_model=D, n_heads=H, d_k=D // H, role="causal")
    lacks = {"causal": f"it may not be 'causal': {problems[0].message}"} if problems else {}
    return Part(POSITION, spec, lambda: POSITION.build(spec, d_model=D, n_heads=H), lacks=lacks)


def _position(part: Part) -> Any:
    return randomised(part.make())


def _heads(length: int = T) -> Tensor:
    return torch.randn(B, H, length, D // H, dtype=torch.float64)


def hooks_keep_their_shapes(part: Part) -> None:
    """embed and rotate keep shapes; a bias is [.., T, S]."""
    seeded()
    position, x, q, k = _position(part), vectors(), _heads(), _heads(S)
    mask = Mask(offset=S - T)
    for rotate in (position.rotate, position.rotate_keys):
        require(rotate(q, mask=mask).shape == q.shape, f"{rotate.__name__} changes the shape")
    bias = position.bias(q, k, scale=0.7, mask=mask)
    require(bias is None or bias.shape[-2:] == (T, S), "bias is not [.., T, S]")
    require(position.embed(x, mask=Mask()).shape == x.shape, "embed changes the shape")


def later_positions_alone_equal_those_of_the_whole(part: Part) -> None:
    """Each hook from position 2 on gives what it gives there for the whole, as a cache needs it."""
    seeded()
    position, x, q, k = _position(part), vectors(), _heads(), _heads()
    whole, late = Mask(causal=True), Mask(causal=True, offset=2)
    same(position.embed(x[:, 2:], mask=late), position.embed(x, mask=whole)[:, 2:], "embed from position 2")
    for rotate in (position.rotate, position.rotate_keys):
        same(
            rotate(q[:, :, 2:], mask=late),
            rotate(q, mask=whole)[:, :, 2:],
            f"{rotate.__name__} from position 2",
        )
    bias = position.bias(q, k, scale=0.7, mask=whole)
    if bias is not None:
        late_bias = position.bias(q[:, :, 2:], k, scale=0.7, mask=late)
        same(late_bias, bias[..., 2:, :], "bias of the queries from position 2")


def scores_depend_on_distance_alone(part: Part) -> None:
    """Of equal vectors everywhere, the score of a query and a key is that of any two as far apart."""
    seeded()
    position, q, k = _position(part), _heads(1).expand(-1, -1, S, -1), _heads(1).expand(-1, -1, S, -1)
    mask = Mask()
    bias = position.bias(q, k, scale=0.7, mask=mask)
    turned = position.rotate_keys(k, mask=mask)
    scores = position.rotate(q, mask=mask) @ turned.transpose(2, 3)  # [B, H, S, S]
    scores = scores if bias is None else scores + bias
    same(scores[..., 1:, 1:], scores[..., :-1, :-1], "scores one place further")


def given_positions_are_those_that_count(part: Part) -> None:
    """Tokens in another order, with positions that tell theirs, give what they give in order; or are refused."""
    seeded()
    position, x, q, k = _position(part), vectors(S), _heads(S), _heads(S)
    order = torch.stack([torch.randperm(S) for _ in range(B)])
    plain, given = Mask(), Mask(positions=order)

    def ordered(tensor: Tensor, dim: int) -> Tensor:
        """What stands at the positions of `order`, along an axis of S."""
        return torch.stack([one.index_select(dim - 1, row) for one, row in zip(tensor, order, strict=True)])

    try:
        embedded = position.embed(ordered(x, 1), mask=given)
        turned = [rotate(ordered(q, 2), mask=given) for rotate in (position.rotate, position.rotate_keys)]
        bias = position.bias(ordered(q, 2), ordered(k, 2), scale=0.7, mask=given)
    except ValueError:
        return
    same(embedded, ordered(position.embed(x, mask=plain), 1), "embed by given positions")
    same(turned[0], ordered(position.rotate(q, mask=plain), 2), "rotate by given positions")
    same(turned[1], ordered(position.rotate_keys(q, mask=plain), 2), "rotate_keys by given positions")
    whole = position.bias(q, k, scale=0.7, mask=plain)
    if bias is not None and whole is not None:
        whole = whole.expand(B, -1, -1, -1)
        same(bias.expand(B, -1, -1, -1), ordered(ordered(whole, 2), 3), "bias by given positions")


LAWS = (
    Law(hooks_keep_their_shapes),
    Law(later_positions_alone_equal_those_of_the_whole, ("causal",)),
    Law(scores_depend_on_distance_alone),
    Law(given_positions_are_those_that_count),
    *DESCRIBED_LAWS,
)
