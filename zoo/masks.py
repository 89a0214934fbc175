"""What may attend to what, as a description: a kernel turns it into a tensor only where it needs one.

Places are those of the key axis: key j stands at j, query t at `offset + t`; positions are those too, unless others
are given. Masks are bool and True means "may attend" or "a real token".
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

_TENSORS = ("keys", "global_tokens", "documents", "positions")
_Made = TypeVar("_Made")


@dataclass(frozen=True, eq=False)
class Mask:
    """Which query may attend to which key.

    Query i meets key j when every rule given allows it:
        causal: j <= i.
        radius: |i - j| <= radius, or i or j is a global token.
        keys: key j is a real token. Padded queries are not hidden: the loss leaves their rows out.
        documents: i and j are of one document; global tokens are no exception.
    Tensors made from the description are kept on it, so that the layers of a stack share them: make one for
    each batch and leave its tensors unchanged.
    Shapes: keys and global_tokens bool [B, S], documents int [B, S], positions int64 [B, S], on the device of the
        queries.
    Raises: ValueError on a tensor of the wrong dtype or shape and on a negative radius or offset.
    """

    causal: bool = False
    radius: int | None = None
    """Positions seen on each side, in tokens; the query's own position comes on top."""
    keys: Tensor | None = None
    global_tokens: Tensor | None = None
    documents: Tensor | None = None
    offset: int = 0
    """Place of the first query: the number of tokens that the cache already holds."""
    positions: Tensor | None = None
    """What positional encodings count instead of places, padding and documents; the rules above know places alone."""
    called: Mapping[str, str] = field(default_factory=dict)
    """What the call that gave them has other names for, by their names here: errors say those."""
    _made: dict[Hashable, object] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.radius is not None and self.radius < 0:
            raise ValueError(f"radius ({self.radius}) must be 0 or more")
        if self.offset < 0:
            raise ValueError(f"offset ({self.offset}) must be 0 or more")
        shapes = {}
        for name in _TENSORS:
            tensor, said = getattr(self, name), self.name_of(name)
            if tensor is None:
                continue
            if not isinstance(tensor, Tensor):
                raise ValueError(f"{said} must be a tensor, not a {type(tensor).__name__}")
            if name == "documents":
                if tensor.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
                    raise ValueError(f"{said} must be integer ids, not {tensor.dtype}")
            elif name == "positions":
                if tensor.dtype != torch.int64:
                    raise ValueError(f"{said} must be int64, not {tensor.dtype}")
            elif tensor.dtype != torch.bool:
                raise ValueError(f"{said} must be bool with True for the tokens meant, not {tensor.dtype}")
            if tensor.dim() != 2:
                raise ValueError(f"{said} must have the shape [B, S], not {list(tensor.shape)}")
            shapes[said] = tuple(tensor.shape)
        first = next(iter(shapes.values()), None)
        if any(
            shape != first for shape in shapes.values()
        ):  # no set: a length that an export leaves open has no hash
            raise ValueError(f"the tensors of a mask must share one shape [B, S], not {shapes}")

    def name_of(self, tensor: str) -> str:
        """What whoever gave a tensor calls it."""
        return self.called.get(tensor, tensor)

    def within(self, radius: int) -> Mask:
        """This mask narrowed to a radius; the same object at each call, so that layers share its tensors."""
        if self.radius is not None and self.radius <= radius:
            return self
        return self.once(("within", radius), lambda: replace(self, radius=radius))

    def in_chunks(self, size: int, n_keys: int, device: torch.device) -> Mask:
        """This mask narrowed to chunks of so many places, counted from the first real token of each document.

        Chunks are documents within documents, so positions, which begin anew with a document, are told by the mask that
        this one was made of. The same object at each call; this mask itself where one chunk holds all keys.
        """
        if not torch.compiler.is_exporting() and n_keys <= size:
            return self

        def make() -> Mask:
            if self.keys is None and self.documents is None:
                places = self.key_places(n_keys, device).expand(self.batch, -1)  # [B or 1, S]
            else:
                begun = None if self.keys is None else self.keys.to(torch.int64).cummax(dim=1).values
                places = self._ranks(self.documents, begun)  # [B, S]
            chunks = places // size
            if self.documents is not None:
                chunks = self.documents.to(torch.int64) * n_keys + chunks
            return replace(self.within(size - 1), documents=chunks)

        return self.once(("chunks", size, n_keys, device), make)

    @property
    def batch(self) -> int:
        """B of the mask's tensors; 1, which fits every batch, when it has none."""
        return next((tensor.shape[0] for name in _TENSORS if (tensor := getattr(self, name)) is not None), 1)

    def check(self, n_queries: int, n_keys: int) -> None:
        """Raises ValueError when T queries and S keys do not fit this mask."""
        for name in _TENSORS:
            tensor = getattr(self, name)
            if tensor is not None and tensor.shape[1] != n_keys:
                said, given = self.name_of(name), list(tensor.shape)
                raise ValueError(f"{said} must have the shape [B, {n_keys}] for {n_keys} keys, not {given}")
        on_one_axis = self.causal or self.radius is not None or self.documents is not None
        if on_one_axis and self.offset + n_queries > n_keys:
            raise ValueError(
                f"{n_queries} queries from position {self.offset} do not fit {n_keys} keys: "
                "causal, radius and documents need queries and keys on one axis"
            )

    def check_positions(self, n_rows: int, n_queries: int, device: torch.device) -> None:
        """Raises ValueError when given positions are not those of B rows up to the last of T queries, on their device,
        or are below 0.
        """
        assert self.positions is not None
        said = self.name_of("positions")
        if self.positions.device != device:
            raise ValueError(f"{said} are on {self.positions.device}, and the tokens on {device}")
        wanted, given = [n_rows, self.offset + n_queries], list(self.positions.shape)
        if given != wanted:
            raise ValueError(f"{said} must have the shape {wanted}, one for each token so far, not {given}")
        known = self.positions.device.type == "cpu" and not torch.compiler.is_compiling()
        if known and bool((self.positions < 0).any()):
            raise ValueError(f"{said} must be 0 or more, and the least is {int(self.positions.min())}")

    def hides_positions(self, n_queries: int, n_keys: int) -> bool:
        """Whether causal or radius hide some key from some query (global tokens left aside); in a graph for every
        length, which torch.export makes, they may."""
        if torch.compiler.is_exporting():
            return self.causal or self.radius is not None
        if self.causal and self.offset < n_keys - 1:
            return True
        if self.radius is None:
            return False
        last = self.offset + n_queries - 1
        return last > self.radius or self.offset + self.radius < n_keys - 1

    def hides_keys(self) -> bool:
        """Whether `keys` hides any key; looked up on the CPU only, elsewhere that would stop the device."""
        keys = self.keys
        if keys is None:
            return False
        if keys.device.type != "cpu" or torch.compiler.is_compiling():
            return True
        return self.once("hides keys", lambda: not bool(keys.all()))

    def query_places(self, n_queries: int, device: torch.device) -> Tensor:
        """Places of the queries on the key axis, int64 [T]."""
        first = self.offset
        return self.once(
            ("queries", n_queries, device), lambda: torch.arange(first, first + n_queries, device=device)
        )

    def key_places(self, n_keys: int, device: torch.device) -> Tensor:
        """Places of the keys on their axis, int64 [S]."""
        return self.once(("keys", n_keys, device), lambda: torch.arange(n_keys, device=device))

    def query_positions(self, n_queries: int, device: torch.device) -> Tensor:
        """Positions of the queries: those given, int64 [B, T], else their places, [T]."""
        if self.positions is None:
            return self.query_places(n_queries, device)
        return self.of_queries(self.positions, n_queries)

    def key_positions(self, n_keys: int, device: torch.device) -> Tensor:
        """Positions of the keys: those given, int64 [B, S], else their places, [S]."""
        return self.key_places(n_keys, device) if self.positions is None else self.positions

    def distances(self, n_queries: int, n_keys: int, device: torch.device) -> Tensor:
        """The key's position minus the query's: int64 [B or 1, 1, T, S]."""
        queries, keys = self.query_positions(n_queries, device), self.key_positions(n_keys, device)
        found = keys[..., None, :] - queries[..., None]  # [T, S] or [B, T, S]
        return found.view(-1, 1, n_queries, n_keys)

    def place_positions(self, n_queries: int, device: torch.device) -> Tensor:
        """Positions of the queries: those given, else places in their documents, padding counted: int64 [B, T], or [T]
        where there are neither.
        """
        if self.documents is None or self.positions is not None:
            return self.query_positions(n_queries, device)
        return self.of_queries(self._ranks(self.documents, None), n_queries)

    def token_positions(self, n_queries: int, device: torch.device) -> Tensor:
        """Positions of the queries: those given, else among the real tokens of their documents: int64 [T] or [B, T].

        A padded place has the position of the real token before it, or 0. The same as `place_positions` where no row
        starts with padding, which is looked up on the CPU only.
        """

        def make() -> Tensor:
            if self.positions is not None or not self.hides_keys():
                return self.place_positions(n_queries, device)
            assert self.keys is not None
            known = device.type == "cpu" and not torch.compiler.is_compiling()
            if known and bool(
                (self.keys.to(torch.int8).diff(dim=1) <= 0).all()
            ):  # padding stands at the end only
                return self.place_positions(n_queries, device)
            return self.of_queries(self._ranks(self.documents, self.keys), n_queries)

        return self.once(("tokens", n_queries, device), make)

    def key_token_positions(self, n_keys: int, device: torch.device) -> Tensor:
        """`token_positions` of the keys: int64 [S] or [B, S]."""
        if self.offset == 0:
            return self.token_positions(n_keys, device)
        return self.once(
            ("key tokens", n_keys, device),
            lambda: replace(self, offset=0).token_positions(n_keys, device),
        )

    def end(self, n_queries: int) -> int:
        """One more than the last position of the queries, padding counted; looks at positions that are given."""
        if self.positions is None:
            return self.offset + n_queries
        return int(self.of_queries(self.positions, n_queries).max()) + 1

    def first_tokens(self, n: int, n_keys: int, device: torch.device) -> Tensor:
        """The first n real tokens of each document, or of a row without documents: bool [B or 1, S]."""
        if self.keys is None and self.documents is None:
            return self.key_places(n_keys, device)[None] < n
        ranks = self._ranks(self.documents, self.keys)
        return ranks < n if self.keys is None else self.keys & (ranks < n)

    def _ranks(self, documents: Tensor | None, keys: Tensor | None) -> Tensor:
        """How many counted places of its document, all or those of `keys`, stand before each key: int64 [B, S].

        A place that is not counted has the number of the last one before it, 0 where there is none.
        Raises: ValueError, on the CPU, for a document that does not stand in one piece.
        """
        given = keys if documents is None else documents
        assert given is not None
        counted = torch.ones_like(given, dtype=torch.int64) if keys is None else keys.to(torch.int64)
        ranks = counted.cumsum(dim=1) - 1
        if documents is not None:
            ranks = ranks - (ranks + 1 - counted).gather(1, self._starts(documents))
        return ranks.clamp(min=0)

    def _starts(self, documents: Tensor) -> Tensor:
        """Where the document of each key begins: int64 [B, S]."""

        def make() -> Tensor:
            begins = documents[:, 1:] != documents[:, :-1]  # [B, S - 1]
            if documents.device.type == "cpu" and not torch.compiler.is_compiling():
                sorted_ids = documents.sort(dim=1).values
                n_ids = (sorted_ids[:, 1:] != sorted_ids[:, :-1]).sum(dim=1)
                if bool((begins.sum(dim=1) != n_ids).any()):
                    raise ValueError(
                        "documents must stand in one piece each: an id comes again after another one"
                    )
            places = torch.arange(documents.shape[1], device=documents.device)
            starts = torch.zeros_like(documents, dtype=torch.int64)
            starts[:, 1:] = places[1:] * begins
            return starts.cummax(dim=1).values

        return self.once("starts", make)

    def dense(self, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
        """True where a query may attend to a key; None when nothing is hidden.

        Shapes: bool, broadcastable to [B, 1, T, S].
        Raises: ValueError when T and S do not fit.
        """
        return self.once(("dense", n_queries, n_keys, device), lambda: self._dense(n_queries, n_keys, device))

    def bias(self, n_queries: int, n_keys: int, dtype: torch.dtype, device: torch.device) -> Tensor | None:
        """`dense` as a term of the scores: 0 where a query may attend, else the dtype's lowest number.

        Not -inf, so that a row with nothing to attend stays a number; kernels zero it by `idle`.
        """

        def make() -> Tensor | None:
            allowed = self.dense(n_queries, n_keys, device)
            if allowed is None:
                return None
            zeros = torch.zeros(allowed.shape, dtype=dtype, device=device)
            return zeros.masked_fill_(~allowed, torch.finfo(dtype).min)

        return self.once(("bias", n_queries, n_keys, dtype, device), make)

    def idle(self, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
        """True for queries with nothing to attend; None when there are none.

        Only `keys` can bring this about: the other rules always leave a query its own position.
        Shapes: bool, broadcastable to [B, 1, T, 1].
        """

        def make() -> Tensor | None:
            allowed = self.dense(n_queries, n_keys, device)
            if allowed is None or not self.hides_keys():
                return None
            idle = ~allowed.any(dim=-1, keepdim=True)  # [B or 1, 1, T or 1, 1]
            known = idle.device.type == "cpu" and not torch.compiler.is_compiling()
            return None if known and not idle.any() else idle

        return self.once(("idle", n_queries, n_keys, device), make)

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What `make` gave at the first call with this key; for all that is derived from the description."""
        if torch.compiler.is_compiling():  # a key holds lengths: each would ask for a compilation of its own
            return make()
        # A tensor made in inference mode cannot be saved for a backward pass later, so it is kept apart.
        key = (key, torch.is_inference_mode_enabled())
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[return-value]

    def of_queries(self, tensor: Tensor, n_queries: int) -> Tensor:
        """What one of this mask's tensors [B, S] says of the queries: [B, T]."""
        return tensor[:, self.offset : self.offset + n_queries]

    def _dense(self, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
        self.check(n_queries, n_keys)
        rules = []
        if self.hides_positions(n_queries, n_keys):
            queries = self.query_places(n_queries, device)[:, None]
            keys = self.key_places(n_keys, device)
            if self.radius is not None:
                near = ((queries - keys).abs() <= self.radius)[None, None]  # [1, 1, T, S]
                if self.global_tokens is not None:
                    near = near | self.global_tokens[:, None, None, :]  # [B, 1, T, S]
                    near = near | self.of_queries(self.global_tokens, n_queries)[:, None, :, None]
                rules.append(near)
            if self.causal:
                rules.append((keys <= queries)[None, None])  # [1, 1, T, S]
        if self.documents is not None:
            own = self.of_queries(self.documents, n_queries)
            rules.append((own[:, :, None] == self.documents[:, None, :])[:, None])  # [B, 1, T, S]
        if self.keys is not None and self.hides_keys():
            rules.append(self.keys[:, None, None, :])  # [B, 1, 1, S]
        allowed: Tensor | None = None
        for rule in rules:
            allowed = rule if allowed is None else allowed & rule
        return allowed
