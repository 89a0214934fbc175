"""A causal language model: the decoder alone."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Problem, Spec
from zoo.assembly.cache import StackCache
from zoo.assembly.stack import Stack, StackSpec, inherited_positions, stack_context
from zoo.assembly.usage import model_position_problems, writer_problems
from zoo.kinds import EMBEDDING, HEAD, INITIALIZATION, MODEL, POSITION
from zoo.masks import Mask


class DecoderOnlySpec(Spec):
    type: Literal["decoder_only"] = "decoder_only"
    writes: ClassVar[str] = "tokens"
    is_sum_of_parts: ClassVar[bool] = True
    d_model: int = Field(512, ge=1, le=1_000_000)
    """Width of every vector between sublayers."""
    tokens: Annotated[Spec, EMBEDDING]
    """Embedding of the input: of tokens, or of a series' steps."""
    position: Annotated[Spec, POSITION] = Field("sinusoidal", validate_default=True)
    """How positions are told apart; the stack or a layer may have its own."""
    decoder: StackSpec
    """The causal stack; its layers have no cross_attention."""
    head: Annotated[Spec, HEAD]
    """From the stack's output to logits, or to a series' next values."""
    initialization: Annotated[Spec, INITIALIZATION] = Field("tensor2tensor", validate_default=True)
    """How a new model's weights are set."""

    @property
    def slots(self) -> dict[str, Spec]:
        """The embedding of each input: see zoo.kinds.model."""
        return {"tokens": self.tokens}

    def contexts(self) -> dict[str, Any]:
        width = {"d_model": self.d_model}
        return {
            "tokens": width,
            "position": inherited_positions(self, decoder=True),
            "decoder": stack_context(self, is_causal=True),
            "head": {**width, "embeddings": self.slots},
            "initialization": {},
        }

    def problems(self, path: str) -> list[Problem]:
        found = writer_problems(f"{path}.tokens", self.tokens, or_numbers=True)
        return found + model_position_problems(self, path, {"decoder": self.decoder})


@MODEL.register("decoder_only", spec=DecoderOnlySpec)
class DecoderOnly(nn.Module):
    """Tokens in, logits of the next token out at every position, each seeing those before it.

    Source: Liu et al. 2018; Radford et al. 2018.
    Shapes: tokens [B, T] (or what the embedding takes) -> logits [B, T, V] (or what the head gives); mask bool [B, T],
        True = a real token; documents int [B, T], an id for each of several documents that a row holds one after the
        other: none sees another, and positions begin anew; positions int64 [B, T], 0 or more, what positional encodings
        count instead of places (a model without such encodings has no use for them).
    """

    writes: ClassVar[str] = "tokens"

    def __init__(
        self,
        *,
        d_model: int,
        tokens: Spec,
        position: Spec,
        decoder: StackSpec,
        head: Spec,
        initialization: Spec,
    ) -> None:
        super().__init__()
        self.tokens: nn.Module = EMBEDDING.build(tokens, d_model=d_model)
        self.decoder = Stack(decoder, d_model=d_model, position=position, is_causal=True)
        self.head: nn.Module = HEAD.build(head, d_model=d_model, embeddings=self.slots)
        self.initialize = INITIALIZATION.build(initialization)

    @property
    def slots(self) -> dict[str, nn.Module]:
        """The embedding of each input."""
        return {"tokens": self.tokens}

    def forward(
        self,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        hidden, mask = self.hidden(tokens, mask=mask, documents=documents, positions=positions)
        return self.head(hidden, mask=mask)

    def hidden(
        self,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """tokens [B, T] -> vectors [B, T, D] and the mask of their places."""
        x, mask = self.tokens(tokens, mask=mask, types=None)
        described = Mask(
            causal=True, keys=mask, documents=documents, positions=positions, called={"keys": "mask"}
        )
        return self.decoder(x, mask=described), mask

    def decode(
        self,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
        cache: StackCache | None = None,
    ) -> Tensor:
        """The vectors of `hidden` alone; with a cache, only the tokens that are new since the last call.

        mask is then bool [B, S] over all tokens so far, the cached ones included, and so are documents
        int [B, S] and positions int64 [B, S].
        """
        if cache is None:
            return self.hidden(tokens, mask=mask, documents=documents, positions=positions)[0]
        offset = cache.length
        x, own = self.tokens(tokens, mask=None if mask is None else mask[:, offset:], types=None)
        keys = mask if offset else own
        described = Mask(
            causal=True,
            keys=keys,
            documents=documents,
            positions=positions,
            offset=offset,
            called={"keys": "mask"},
        )
        return self.decoder(x, mask=described, cache=cache)

    def new_cache(self) -> StackCache:
        """An empty cache for `decode`."""
        return self.decoder.new_cache()
