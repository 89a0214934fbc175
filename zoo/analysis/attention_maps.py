"""Attention maps: weights of attentions as arrays, with the text of each query and key."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from zoo.analysis.attention import Attended, Attention


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionMap(Attended):
    """What one part of a model attended to in one input; its keys are the source's where it is a cross-attention."""

    weights: NDArray[np.float32]
    """Of each head, query and key, in that order; those of a query sum to 1."""
    queries: tuple[str, ...]
    """The token that is read at each query's place."""
    keys: tuple[str, ...]
    """The token at each key's."""
    writes: tuple[str, ...] | None
    """The token that follows what is read at each query's place, where a decoder that has a source was given or wrote
    it: for which it looks at the source."""

    @property
    def rows(self) -> tuple[str, ...]:
        """What queries are called in a picture: where the source is looked at, by what is written for it."""
        return self.writes if self.is_cross and self.writes is not None else self.queries

    @property
    def kind(self) -> str:
        """What attends to what, such as "decoder to encoder"."""
        stack = self.stack or "model"
        return f"{stack} to source" if self.is_cross else f"{stack} to itself"

    @property
    def title(self) -> str:
        """Kind, layer and part, for a heading."""
        layer = "" if self.layer is None else f", layer {self.layer}"
        return f"{self.kind[:1].upper()}{self.kind[1:]}{layer}"


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention maps of a model for one input."""

    model: str
    """Whose they are, such as a run's folder."""
    given: str
    """The input."""
    written: str | None
    """The output that the maps of a decoder with a source are for; None where there is none."""
    target: str | None
    """The output as it was given; None where the model wrote it."""
    maps: tuple[AttentionMap, ...]
    without: tuple[tuple[str, str], ...]
    """What mixes positions in the chosen layers without weights of a softmax: the module's name and the part's."""

    def __getitem__(self, name: str) -> AttentionMap:
        """The map of a module by its name."""
        for each in self.maps:
            if each.name == name:
                return each
        raise KeyError(f"{name!r}; there are {', '.join(each.name for each in self.maps)}")

    @property
    def outcome(self) -> str:
        """The input, and what was written for it."""
        how = "" if self.target is None else " (given)"
        return self.given if self.written is None else f"{self.given} → {self.written.strip()}{how}"

    @property
    def altered(self) -> str:
        """A sentence where the tokenizer has made something else of the output that was given; else ""."""
        read = (self.written or "").strip()
        if self.target is None or self.target.strip() == read:
            return ""
        return f"Of the target {self.target.strip()!r} the model's tokenizer makes {read!r}, which was read."

    @property
    def by_kind(self) -> tuple[AttentionMap, ...]:
        """The maps of one kind together, kinds in the order of their first map."""
        kinds = list(dict.fromkeys(each.kind for each in self.maps))
        return tuple(sorted(self.maps, key=lambda each: kinds.index(each.kind)))

    @property
    def unconfirmed(self) -> tuple[AttentionMap, ...]:
        """Those whose kernel gave another output."""
        return tuple(each for each in self.maps if not each.is_confirmed)

    @property
    def checked(self) -> str:
        """What the comparison with the model's own kernels says, in a sentence."""
        if wrong := self.unconfirmed:
            names = ", ".join(f"{each.name} (by {each.difference:.1e})" for each in wrong)
            return f"NOT what the model's own kernels gave: the outputs of {names} differ from those of these weights"
        compared = [each for each in self.maps if each.difference is not None]
        said, n_own = [], len(self.maps) - len(compared)
        if compared:
            most, limit = max(each.difference or 0.0 for each in compared), compared[0].tolerance
            said.append(
                f"the model's own kernels gave what these weights give, to {most:.0e} of the largest value "
                f"(allowed: {limit:.0e})"
            )
        if n_own:
            which = f"{n_own} of {len(self.maps)} parts compute" if compared else "the model computes"
            said.append(f"{which} with these very weights")
        return "; ".join(said)

    def npz(self) -> bytes:
        """All arrays as a file of numpy: for each map its name with weights [H, T, S], and with /heads, /queries and
        /keys, of a map to the source /writes; and about, JSON of the rest."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for each in self.maps:
            arrays[each.name] = each.weights
            arrays[f"{each.name}/heads"] = np.array(each.heads)
            texts = {"queries": each.queries, "keys": each.keys, "writes": each.writes}
            for what, text in texts.items():
                if text is not None:
                    arrays[f"{each.name}/{what}"] = np.array(text)
        about = {
            "model": self.model,
            "given": self.given,
            "written": self.written,
            "checked": self.checked,
            "without": dict(self.without),
        }
        arrays["about"] = np.array(json.dumps(about, ensure_ascii=False))
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        return stream.getvalue()


def map_of(
    found: Attention, *, queries: Sequence[str], keys: Sequence[str], writes: Sequence[str] | None
) -> AttentionMap:
    """The map of the first row that an attention was seen with. Where texts are not as many as places, numbers from 1
    stand for them."""
    weights = found.weights[0].float().numpy()
    _, n_queries, n_keys = weights.shape

    def fitting(texts: Sequence[str], n: int) -> tuple[str, ...]:
        return tuple(texts) if len(texts) == n else tuple(str(i + 1) for i in range(n))

    return AttentionMap(
        **{each.name: getattr(found, each.name) for each in fields(Attended)},
        weights=weights,
        queries=fitting(queries, n_queries),
        keys=fitting(keys, n_keys),
        writes=None if writes is None else fitting(writes, n_queries),
    )
