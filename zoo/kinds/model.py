"""Model: an architecture, and what all of them answer, so that nobody else asks which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from registry import Kind, Spec
from zoo.kinds.initialization import Initialization


class Model(Protocol):
    """Called with an input for each of `slots` by its name, in their order; the mask of one, bool [B, N], is a keyword
    of the name that `mask_name` gives, further keywords are the architecture's own (types, global_tokens, documents,
    positions). hidden, called alike -> vectors [B, T, D] and which of them stand for real input, bool [B, T] | None.
    The output is head(vectors, mask=). `slots`: the embedding of each named input; `writes`: the slot whose next token
    is predicted from those before it, None where the model writes nothing; `initialize`: what sets its weights when it
    is new. The spec has `slots` and `writes` too, and perhaps `is_sum_of_parts`: whether its parameters are those of
    its parts, by which it is then counted; a model that does not say so is built to be counted.
    """

    __call__: Callable[..., Tensor]
    initialize: Initialization

    @property
    def slots(self) -> Mapping[str, nn.Module]: ...

    @property
    def writes(self) -> str | None: ...

    @property
    def head(self) -> nn.Module: ...

    @property
    def hidden(self) -> Callable[..., tuple[Tensor, Tensor | None]]: ...


class ModelSpec(Protocol):
    """What the spec of every model says."""

    @property
    def slots(self) -> Mapping[str, Spec]:
        """The embedding of each named input, shared ones resolved."""
        ...

    @property
    def writes(self) -> str | None:
        """The slot whose next token is predicted; None: the model writes nothing."""
        ...


MODEL = Kind(
    "model",
    package="zoo.assembly",
    context=(),
    check=(),
    summary="an architecture: stacks, embeddings and a head put together",
    contract=Model,
)


def read_slots(model: Model | ModelSpec) -> list[str]:
    """The slots that are read as a whole, at once: all but the one that is written."""
    return [name for name in model.slots if name != model.writes]


def mask_name(model: Model | ModelSpec, slot: str) -> str:
    """What the mask of a slot is called: `mask` where it is the only one, else such as `source_mask`."""
    return "mask" if len(model.slots) == 1 else f"{slot}_mask"
