"""A causal language model: the decoder alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Problem, Spec, check_part
from zoo.assembly.parts import Part
from zoo.assembly.stack import Stack, StackSpec
from zoo.assembly.usage import model_position_problems, writer_problems
from zoo.kernels.cache import DecoderCache
from zoo.kinds import EMBEDDING, HEAD, INITIALIZATION, MODEL, POSITION
from zoo.masks import Mask


class DecoderOnlySpec(Spec):
    type: Literal["decoder_only"] = "decoder_only"
    d_model: int = Field(512, ge=1, le=1_000_000)
    """Width of every vector between sublayers."""
    tokens: Annotated[Spec, EMBEDDING]
    """Embedding of the input."""
    position: Annotated[Spec, POSITION] = Field("sinusoidal", validate_default=True)
    """How positions are told apart; the stack or a layer may have its own."""
    decoder: StackSpec
    """The causal stack; its layers have no cross_attention."""
    head: Annotated[Spec, HEAD]
    """From the stack's output to logits."""
    initialization: Annotated[Spec, INITIALIZATION] = Field("tensor2tensor", validate_default=True)
    """How a new model's weights are set."""

    def problems(self, path: str) -> list[Problem]:
        found = check_part(self.tokens, f"{path}.tokens", d_model=self.d_model)
        found += check_part(
            self.head, f"{path}.head", d_model=self.d_model, embeddings={"tokens": self.tokens}
        )
        found += writer_problems(f"{path}.tokens", self.tokens)
        found += model_position_problems(self, path, {"decoder": self.decoder})
        return found + self.decoder.problems_in(
            f"{path}.decoder",
            d_model=self.d_model,
            position=self.position,
            position_path=f"{path}.position",
            is_causal=True,
            has_memory=False,
        )

    def parts(self, path: str) -> Iterator[Part]:
        """The parts of the model, for counting."""
        embeddings = {"tokens": self.tokens}
        yield Part(f"{path}.tokens", EMBEDDING, self.tokens, {"d_model": self.d_model})
        yield from self.decoder.parts(
            f"{path}.decoder",
            d_model=self.d_model,
            position=self.position,
            position_path=f"{path}.position",
        )
        context = {"d_model": self.d_model, "embeddings": embeddings}
        yield Part(f"{path}.head", HEAD, self.head, context)


@MODEL.register("decoder_only", spec=DecoderOnlySpec)
class DecoderOnly(nn.Module):
    """Tokens in, logits of the next token out at every position, each seeing those before it.

    Source: Liu et al. 2018; Radford et al. 2018.
    Shapes: tokens [B, T] -> logits [B, T, V]; mask bool [B, T], True = a real token.
    """

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
        self.decoder = Stack(decoder, d_model=d_model, position=position)
        self.head: nn.Module = HEAD.build(head, d_model=d_model, embeddings={"tokens": self.tokens})
        self.initialize = INITIALIZATION.build(initialization)

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return self.head(self.decode(tokens, mask=mask), mask=mask)

    def decode(
        self, tokens: Tensor, *, mask: Tensor | None = None, cache: DecoderCache | None = None
    ) -> Tensor:
        """tokens [B, T] -> hidden [B, T, D]; with a cache, only the tokens that are new since the last call.

        mask is bool [B, S] over all tokens so far, the cached ones included.
        """
        offset = 0 if cache is None else cache.length
        x, _ = self.tokens(tokens, mask=None, types=None)
        return self.decoder(x, mask=Mask(causal=True, keys=mask, offset=offset), cache=cache)

    def new_cache(self) -> DecoderCache:
        """An empty cache for `decode`."""
        return DecoderCache(len(self.decoder.layers))
