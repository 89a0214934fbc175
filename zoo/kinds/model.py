"""Model: an architecture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kinds.initialization import Initialization


class Model(Protocol):
    """Called as EncoderDecoder(source, target) -> logits; DecoderOnly(tokens) -> logits; EncoderOnly(inputs) -> the
    head's output; `head`: the module that makes the output; `initialize`: what sets its weights when it is new.
    """

    __call__: Callable[..., Tensor]
    head: Callable[..., Tensor]
    initialize: Initialization


MODEL = Kind(
    "model",
    package="zoo.assembly",
    context=(),
    summary="an architecture: stacks, embeddings and a head put together",
    contract=Model,
)
