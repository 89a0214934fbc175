"""The paper's architecture: an encoder reads the source, a causal decoder attends to it and writes the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema
from torch import Tensor, nn

from registry import Problem, Spec, partial
from zoo.assembly.cache import StackCache
from zoo.assembly.merging import merged, with_layers
from zoo.assembly.stack import Stack, StackSpec, check_positions, inherited_positions, stack_context
from zoo.assembly.usage import length_problems, model_position_problems, writer_problems
from zoo.kinds import ATTENTION, EMBEDDING, HEAD, INITIALIZATION, MODEL, POSITION
from zoo.masks import Mask

_OF_SOURCE = {"keys": "source_mask", "positions": "source_positions"}
_OF_TARGET = {"keys": "target_mask", "positions": "target_positions"}
"""What a call has for the tensors of a mask."""


class Share(Spec):
    """Stands for another embedding of the model: one vocabulary, one matrix."""

    share: Literal["source"]
    """The embedding to use."""


def _share_or_embedding(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, Mapping) and "share" in value:
        return Share.model_validate(value)
    return value if isinstance(value, Share) else handler(value)


class EncoderDecoderSpec(Spec):
    type: Literal["encoder_decoder"] = "encoder_decoder"
    writes: ClassVar[str] = "target"
    is_sum_of_parts: ClassVar[bool] = True
    d_model: int = Field(512, ge=1, le=1_000_000)
    """Width of every vector between sublayers."""
    source: Annotated[Spec, EMBEDDING]
    """Embedding of the encoder's input."""
    target: Annotated[Spec, EMBEDDING, WrapValidator(_share_or_embedding)]
    """Embedding of the decoder's input; `{share: source}` uses the source's."""
    position: Annotated[Spec, POSITION] = Field("sinusoidal", validate_default=True)
    """How positions are told apart; a stack or a layer may have its own."""
    encoder: StackSpec
    """The stack that reads the source."""
    decoder: StackSpec
    """The stack that writes the target. `{like: encoder, cross_attention: ...}` copies the encoder's layers and adds
    cross_attention to each; further keys change the copy."""
    head: Annotated[Spec, HEAD]
    """From the decoder's output to logits."""
    initialization: Annotated[Spec, INITIALIZATION] = Field("tensor2tensor", validate_default=True)
    """How a new model's weights are set."""

    @model_validator(mode="before")
    @classmethod
    def _decoder_like_encoder(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        decoder, encoder = data.get("decoder"), data.get("encoder")
        if not (
            isinstance(decoder, Mapping) and decoder.get("like") == "encoder" and isinstance(encoder, Mapping)
        ):
            return data
        changes = {key: value for key, value in decoder.items() if key not in ("like", "cross_attention")}
        copy = merged(encoder, changes)
        if "cross_attention" in decoder:
            cross = {"cross_attention": decoder["cross_attention"]}
            copy = with_layers(copy, lambda layer: {**cross, **layer})
        return {**data, "decoder": copy}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Adds the forms that are no component and no stack: `{share: source}` and `{like: encoder, ...}`."""
        found = handler.resolve_ref_schema(handler(schema))
        fields = found["properties"]
        fields["target"]["oneOf"].append(Share.model_json_schema())
        stack = {"$ref": fields["decoder"].pop("$ref")}
        attention = TypeAdapter(Annotated[Spec | None, ATTENTION]).core_schema
        # The handler heeds what a kind says of its schema only inside the one that it is given.
        cross_attention = handler(core_schema.definitions_schema(attention, []))
        copy = partial(stack, like={"const": "encoder"}, cross_attention=cross_attention)
        fields["decoder"]["anyOf"] = [stack, {**copy, "required": ["like"]}]
        return found

    @property
    def slots(self) -> dict[str, Spec]:
        """The embedding of each input, a shared one resolved: see zoo.kinds.model."""
        target = self.source if isinstance(self.target, Share) else self.target
        return {"source": self.source, "target": target}

    def contexts(self) -> dict[str, Any]:
        width = {"d_model": self.d_model}
        return {
            "source": width,
            "target": width,
            "position": inherited_positions(self, encoder=False, decoder=True),
            "encoder": stack_context(self, is_causal=False, names_global_tokens=True),
            "decoder": stack_context(self, is_causal=True, has_memory=True),
            "head": {**width, "embeddings": self.slots},
            "initialization": {},
        }

    def problems(self, path: str) -> list[Problem]:
        found = writer_problems(f"{path}.target", self.slots["target"])
        found += model_position_problems(self, path, {"encoder": self.encoder, "decoder": self.decoder})
        found += length_problems(path, self.source, self.encoder, self.position)
        if not any(layer.reads_memory for _, layer in self.decoder.forms("")):
            message = (
                "no layer reads the encoder, whose weights would never learn: give one a cross_attention that is not "
                "none, or take decoder_only"
            )
            found.append(Problem(f"{path}.decoder", message))
        return found


@MODEL.register("encoder_decoder", spec=EncoderDecoderSpec)
class EncoderDecoder(nn.Module):
    """Source tokens in, logits of the next target token out at every position.

    Source: Vaswani et al. 2017, section 3 and Figure 1.
    Shapes: source [B, S], target [B, T] -> logits [B, T, V]; masks bool [B, S] and [B, T], True = a real token;
        global_tokens bool [B, S], True = attends and is attended everywhere in the source, for an encoder whose
        attentions are local otherwise; source_positions int64 [B, S] and target_positions int64 [B, T], 0 or more, what
        positional encodings count instead of places.
    """

    writes: ClassVar[str] = "target"

    def __init__(
        self,
        *,
        d_model: int,
        source: Spec,
        target: Spec,
        position: Spec,
        encoder: StackSpec,
        decoder: StackSpec,
        head: Spec,
        initialization: Spec,
    ) -> None:
        super().__init__()
        self.source: nn.Module = EMBEDDING.build(source, d_model=d_model)
        self.target: nn.Module = (
            self.source if isinstance(target, Share) else EMBEDDING.build(target, d_model=d_model)
        )
        self.source_counts_places = getattr(source, "reads_whole", False)
        self.encoder = Stack(encoder, d_model=d_model, position=position, is_causal=False)
        self.decoder = Stack(decoder, d_model=d_model, position=position, is_causal=True)
        self.head: nn.Module = HEAD.build(head, d_model=d_model, embeddings=self.slots)
        self.initialize = INITIALIZATION.build(initialization)

    @property
    def slots(self) -> dict[str, nn.Module]:
        """The embedding of each input."""
        return {"source": self.source, "target": self.target}

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        global_tokens: Tensor | None = None,
        source_positions: Tensor | None = None,
        target_positions: Tensor | None = None,
    ) -> Tensor:
        hidden, mask = self.hidden(
            source,
            target,
            source_mask=source_mask,
            target_mask=target_mask,
            global_tokens=global_tokens,
            source_positions=source_positions,
            target_positions=target_positions,
        )
        return self.head(hidden, mask=mask)

    def hidden(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        global_tokens: Tensor | None = None,
        source_positions: Tensor | None = None,
        target_positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """source [B, S], target [B, T] -> the decoder's vectors [B, T, D] and the mask of their places."""
        if source.shape[0] != target.shape[0]:
            raise ValueError(
                f"source {list(source.shape)} and target {list(target.shape)} must be of one batch: "
                "the same number of rows"
            )
        memory, memory_mask = self.encode_masked(
            source, source_mask=source_mask, global_tokens=global_tokens, source_positions=source_positions
        )
        x, mask = self.target(target, mask=target_mask, types=None)
        described = Mask(causal=True, keys=mask, positions=target_positions, called=_OF_TARGET)
        of_memory = Mask(keys=memory_mask, called=_OF_SOURCE)
        return self.decoder(x, memory, mask=described, memory_mask=of_memory), mask

    def encode(
        self,
        source: Tensor,
        *,
        source_mask: Tensor | None = None,
        global_tokens: Tensor | None = None,
        source_positions: Tensor | None = None,
    ) -> Tensor:
        """source [B, S] -> memory [B, S, D]."""
        return self.encode_masked(
            source, source_mask=source_mask, global_tokens=global_tokens, source_positions=source_positions
        )[0]

    def encode_masked(
        self,
        source: Tensor,
        *,
        source_mask: Tensor | None = None,
        global_tokens: Tensor | None = None,
        source_positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """source [B, N, ...] -> memory [B, S, D] and the mask of its places [B, S]; S is N for tokens."""
        check_positions(source_positions, are_counted=self.source_counts_places, name="source_positions")
        x, mask = self.source(source, mask=source_mask, types=None)
        described = Mask(
            keys=mask, global_tokens=global_tokens, positions=source_positions, called=_OF_SOURCE
        )
        return self.encoder(x, mask=described), mask

    def decode(
        self,
        target: Tensor,
        memory: Tensor | None,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        target_positions: Tensor | None = None,
        cache: StackCache | None = None,
    ) -> Tensor:
        """target [B, T], memory [B, S, D] -> hidden [B, T, D], for the head.

        With a cache, target holds only the tokens that are new since the last call; memory is read at the first call
        only and may be None later; and target may be [B·n, T], the n rows of a sentence side by side. source_mask
        is the memory's, bool [B, S], target_mask bool [B, S'] over all tokens so far, the cached ones included, and so
        are target_positions int64 [B, S'].
        """
        offset = 0 if cache is None else cache.length
        x, own = self.target(
            target, mask=None if target_mask is None else target_mask[:, offset:], types=None
        )
        return self.decoder(
            x,
            memory,
            mask=Mask(
                causal=True,
                keys=target_mask if offset else own,
                positions=target_positions,
                offset=offset,
                called=_OF_TARGET,
            ),
            memory_mask=Mask(keys=source_mask, called=_OF_SOURCE),
            cache=cache,
        )

    def new_cache(self) -> StackCache:
        """An empty cache for `decode`."""
        return self.decoder.new_cache()
