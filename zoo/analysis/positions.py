"""What a positional encoding does, in numbers: read off its hooks, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from registry import Problem, Spec, SpecError, check
from zoo.components.heads import has_hook
from zoo.kinds import POSITION
from zoo.masks import Mask
from zoo.sizes import n_parameters

MOST_PARAMETERS = 10**8
"""The largest table that is made in order to be drawn."""
_READ = ("vectors", "buckets")
"""Methods of their own by which an attention may read positions: see zoo/components/position/relative_embeddings.py."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PositionNumbers:
    """T positions, D d_model, K the size of a head, H heads; None of what a position does not do."""

    name: str
    d_model: int
    n_heads: int
    length: int
    is_causal: bool
    is_learned: bool
    """Whether its numbers are drawn at random, and learnt from there."""
    added: Numbers | None = None
    """What it adds to embeddings: [T, D]."""
    adds_by_input: bool = False
    """Whether that depends on the embeddings; then `added` is of random ones."""
    angles: Numbers | None = None
    """By how much it turns each pair of features, in radians from -π to π: [T, pairs]."""
    pairs: tuple[tuple[int, int], ...] = ()
    """The features of a head that turn together."""
    factors: Numbers | None = None
    """By what it multiplies queries, where it turns no features: [T, 1]."""
    bias: Numbers | None = None
    """What it adds to scores: [H or 1, T, T], a row a query."""
    biases_by_query: bool = False
    """Whether that depends on the queries; then `bias` is of one random query, the same everywhere."""
    vectors: Numbers | None = None
    """The vector of each distance, query's position minus key's, from 1 - T on: [2·T - 1, D]."""

    @property
    def distances(self) -> list[int]:
        """Key's position minus query's: what the bias is told by."""
        return list(range(1 - self.length, 1 if self.is_causal else self.length))

    def bias_by_distance(self) -> Numbers:
        """The mean over all queries at each of `distances`: [H or 1, distances]."""
        assert self.bias is not None
        return np.stack([np.diagonal(self.bias, k, 1, 2).mean(-1) for k in self.distances], axis=1)

    def is_of_distance(self) -> bool:
        """Whether the bias depends on the distance alone."""
        assert self.bias is not None
        spread = max(float(np.ptp(np.diagonal(self.bias, k, 1, 2), axis=-1).max()) for k in self.distances)
        return spread <= 1e-9 * max(1.0, float(np.abs(self.bias).max()))

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        found: dict[str, Any] = dict(vars(self))
        if self.bias is not None:
            found |= {"distances": self.distances, "bias_by_distance": self.bias_by_distance()}
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in found.items()
        }


@torch.no_grad()
def position_numbers(
    spec: Spec, *, d_model: int, n_heads: int, length: int, is_causal: bool, seed: int = 0
) -> PositionNumbers:
    """The numbers of a position, in float64; learned ones are new, by the seed.

    Raises: SpecError where the position does not suit the sizes, or has no so many places.
    """
    d_k = max(1, d_model // n_heads)
    context = {"d_model": d_model, "n_heads": n_heads}
    role = "causal" if is_causal else "self"
    if wrong := check(spec, "", **context, d_k=d_k, role=role):
        raise SpecError(wrong)
    if (n := n_parameters(POSITION, spec, **context)) > MOST_PARAMETERS:
        raise SpecError([Problem("", f"has {n:,} parameters, too many to be drawn ({MOST_PARAMETERS:,})")])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = POSITION.build(spec, **context).double().eval()
        x = torch.randn(1, length, d_model, dtype=torch.float64)
        one = torch.randn(1, n_heads, 1, d_k, dtype=torch.float64)
    mask = Mask(causal=is_causal)
    found: dict[str, Any] = {"is_learned": any(True for _ in module.parameters())}
    try:
        if has_hook(spec, "embed"):
            blank = torch.zeros_like(x)
            added = module.embed(x, mask=mask) - x
            found["added"] = module.embed(blank, mask=mask)[0].numpy()
            found["adds_by_input"] = not torch.allclose(added[0], torch.from_numpy(found["added"]), atol=1e-9)
            if found["adds_by_input"]:
                found["added"] = added[0].numpy()
        if has_hook(spec, "rotate"):
            basis = torch.eye(d_k, dtype=torch.float64)[:, None, None, :].expand(-1, 1, length, -1)
            turned = module.rotate(basis, mask=mask)[:, 0]  # [K, T, K]
            angles, pairs = _angles(turned.numpy())
            if pairs:
                found |= {"angles": angles, "pairs": pairs}
            else:
                found["factors"] = turned.norm(dim=-1).mean(dim=0)[:, None].numpy()
        if has_hook(spec, "bias"):
            q = one.expand(-1, -1, length, -1)
            bias, other = (module.bias(each, each, scale=d_k**-0.5, mask=mask) for each in (q, -2 * q))
            if bias is not None:
                found["bias"] = bias[0].numpy()
                found["biases_by_query"] = not torch.equal(bias, other)
        if all(has_hook(spec, name) for name in _READ):
            rows = module.buckets(mask, length, length, torch.device("cpu"))  # [T, T]
            by_distance = torch.cat([rows[0].flip(0), rows[1:, 0]])
            found["vectors"] = module.vectors()[by_distance].numpy()
    except ValueError as error:
        raise SpecError([Problem("", str(error))]) from None
    return PositionNumbers(
        name=str(spec.type), d_model=d_model, n_heads=n_heads, length=length, is_causal=is_causal, **found
    )


def _angles(turned: Numbers) -> tuple[Numbers, tuple[tuple[int, int], ...]]:
    """The angles of the pairs of features that mix: turned is what each unit vector becomes, [K, T, K]."""
    met = np.abs(turned).sum(axis=1)
    np.fill_diagonal(met, 0.0)
    pairs = tuple((i, j) for i, j in enumerate(met.argmax(axis=1).tolist()) if i < j and met[i, j] > 1e-12)
    angles = [np.arctan2(turned[i, :, j], turned[i, :, i]) for i, j in pairs]
    return (np.stack(angles, axis=1) if angles else np.zeros((turned.shape[1], 0))), pairs
