"""What mixers that pass over the tokens with a state share: a pass over each document, or two in both directions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

from torch import Tensor, nn

from registry import Spec
from zoo.costs import Mixing, Order
from zoo.kernels.cache import StateCache
from zoo.kernels.strips import Strips, strips_of
from zoo.kinds import MixerSpec, Position
from zoo.masks import Mask

State = tuple[Tensor, ...]
Direction = Literal["forwards", "backwards", "both"]


class DirectionsSpec(MixerSpec):
    """Fields shared by the mixers that pass over the tokens."""

    direction: Direction = "forwards"
    """Whether it passes from the first token on, from the last back, or both, with weights of its own for each; the
    outputs of both are added."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if self.direction != "forwards" and role == "causal":
            raise ValueError(
                f"direction is {self.direction}, so a place would learn of later tokens, which a decoder must not; "
                "make it forwards"
            )

    @property
    def n_directions(self) -> int:
        """Passes over the tokens, each with weights of its own."""
        return 2 if self.direction == "both" else 1

    def mixing(self, order: Order, role: str, length: int, *, n_steps: int) -> Mixing:
        """How positions meet by so many steps after each other; one direction alone never tells of what is to come."""
        sees_all = role == "causal" or self.direction == "both" or length == 1
        return Mixing(
            order, n_sequential=n_steps, n_steps=n_steps, n_layers=Fraction(1) if sees_all else None
        )


class Scan(nn.Module, ABC):
    """A pass over sequences from their first token to the last, which a state may begin and end."""

    @abstractmethod
    def new_state(self, n: int) -> State:
        """The state of n sequences before their first token."""

    @abstractmethod
    def forward(
        self, rows: Tensor, state: State | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """rows [N, L, D] -> [N, L, ...] and the state, tensors [N, ...], after the last token.

        Without a state it begins with `new_state`, and no state is worked out: () is given back. `valid`, bool [N, L],
        says which places hold a token, the first ones of each row; None: all. Others hold zeros, and what it gives
        there nobody reads.
        """


class Directions(nn.Module):
    """One pass over each document, or one in each direction, their outputs added, or put together as a subclass says.

    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, make: Callable[[], Scan], *, direction: Direction) -> None:
        super().__init__()
        self.forwards = make() if direction != "backwards" else None
        self.backwards = make() if direction != "forwards" else None

    def forward(
        self, x: Tensor, *, mask: Mask, position: Position | None, cache: StateCache | None
    ) -> Tensor:
        strips = strips_of(mask, x)
        rows = strips.split(x)  # [N, L, D]
        outs = []
        if self.forwards is not None:
            outs.append(_continued(self.forwards, rows, strips, cache))
        if self.backwards is not None:
            back, _ = self.backwards(strips.reversed(rows))
            outs.append(strips.reversed(back))
        return strips.join(self.together(outs))

    def together(self, outs: list[Tensor]) -> Tensor:
        """What the passes give, one tensor [N, L, ...] each, as [N, L, D]."""
        return outs[0] if len(outs) == 1 else outs[0] + outs[1]

    def new_cache(self) -> StateCache:
        """The state after no token."""
        return StateCache()


def _continued(scan: Scan, rows: Tensor, strips: Strips, cache: StateCache | None) -> Tensor:
    """A pass over strips from where the cache stands: [N, L, D] -> [N, L, ...]."""
    if cache is None:
        out, _ = scan(rows)
        return out
    n_rows = rows.shape[0] if strips.last is None else len(strips.last)
    before = cache.state or scan.new_state(n_rows)
    out, after = scan(rows, tuple(map(strips.begin, before)), valid=strips.valid)
    cache.state = tuple(strips.end(*pair) for pair in zip(after, before, strict=True))
    return out
