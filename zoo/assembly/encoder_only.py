"""A bidirectional model: the encoder alone, with a head for its task."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor, nn

from registry import Problem, Spec
from zoo.assembly.stack import Stack, StackSpec, check_positions, inherited_positions, stack_context
from zoo.assembly.usage import length_problems, model_position_problems
from zoo.components.levels import brings_to_level
from zoo.kinds import EMBEDDING, HEAD, INITIALIZATION, MODEL, POSITION
from zoo.masks import Mask


class EncoderOnlySpec(Spec):
    type: Literal["encoder_only"] = "encoder_only"
    writes: ClassVar[None] = None
    is_sum_of_parts: ClassVar[bool] = True
    d_model: int = Field(512, ge=1, le=1_000_000)
    """Width of every vector between sublayers."""
    inputs: Annotated[Spec, EMBEDDING]
    """Embedding of the input, tokens or other."""
    position: Annotated[Spec, POSITION] = Field("sinusoidal", validate_default=True)
    """How positions are told apart; the stack or a layer may have its own."""
    encoder: StackSpec
    """The stack; its layers have no cross_attention."""
    head: Annotated[Spec, HEAD]
    """From the stack's output to the task's."""
    initialization: Annotated[Spec, INITIALIZATION] = Field("tensor2tensor", validate_default=True)
    """How a new model's weights are set."""

    @property
    def slots(self) -> dict[str, Spec]:
        """The embedding of each input: see zoo.kinds.model."""
        return {"inputs": self.inputs}

    def contexts(self) -> dict[str, Any]:
        width = {"d_model": self.d_model}
        return {
            "inputs": width,
            "position": inherited_positions(self, encoder=False),
            "encoder": stack_context(self, is_causal=False, names_global_tokens=True),
            "head": {**width, "embeddings": self.slots},
            "initialization": {},
        }

    def problems(self, path: str) -> list[Problem]:
        found = model_position_problems(self, path, {"encoder": self.encoder})
        return found + length_problems(path, self.inputs, self.encoder, self.position)


@MODEL.register("encoder_only", spec=EncoderOnlySpec)
class EncoderOnly(nn.Module):
    """Inputs in, the head's output out; every position sees all others.

    Source: Devlin et al. 2019.
    Shapes: inputs [B, N] (or what the embedding takes) -> the head's output; mask bool [B, N], True = a real token;
        types int [B, N] for an embedding with token types; global_tokens bool [B, S], True = attends and is attended
        everywhere, for attentions that are local otherwise; documents int [B, S], an id for each of several documents
        that a row holds one after the other: none learns of another, and positions begin anew; positions int64 [B, S],
        0 or more, what positional encodings count instead of places (a model without such has no use for them).
        Numbers that a head gives of a series are in the series' units, where the embedding scales it.
    """

    writes: ClassVar[None] = None

    def __init__(
        self,
        *,
        d_model: int,
        inputs: Spec,
        position: Spec,
        encoder: StackSpec,
        head: Spec,
        initialization: Spec,
    ) -> None:
        super().__init__()
        self.inputs: nn.Module = EMBEDDING.build(inputs, d_model=d_model)
        self.knows_documents = not getattr(inputs, "reads_whole", False)
        self.encoder = Stack(encoder, d_model=d_model, position=position, is_causal=False)
        self.head: nn.Module = HEAD.build(head, d_model=d_model, embeddings=self.slots)
        self.gives_back = getattr(head, "learns", None) == "numbers" and brings_to_level(inputs)
        self.initialize = INITIALIZATION.build(initialization)

    @property
    def slots(self) -> dict[str, nn.Module]:
        """The embedding of each input."""
        return {"inputs": self.inputs}

    def forward(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        types: Tensor | None = None,
        global_tokens: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        hidden, mask = self.hidden(
            inputs,
            mask=mask,
            types=types,
            global_tokens=global_tokens,
            documents=documents,
            positions=positions,
        )
        output: Tensor = self.head(hidden, mask=mask)
        if not self.gives_back:
            return output
        mean, scale = cast(Any, self.inputs).level(inputs)
        return output * scale + mean

    def hidden(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        types: Tensor | None = None,
        global_tokens: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """inputs [B, N] -> vectors [B, S, D] and the mask of their places [B, S]; S is N for tokens."""
        if documents is not None and not self.knows_documents:
            raise ValueError(
                "the embedding counts the places of a row and knows no documents: give each a row"
            )
        check_positions(positions, are_counted=not self.knows_documents)
        x, mask = self.inputs(inputs, mask=mask, types=types)
        described = Mask(
            keys=mask,
            global_tokens=global_tokens,
            documents=documents,
            positions=positions,
            called={"keys": "mask"},
        )
        return self.encoder(x, mask=described), mask

    def encode(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        types: Tensor | None = None,
        global_tokens: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """The vectors of `hidden` alone."""
        return self.hidden(
            inputs,
            mask=mask,
            types=types,
            global_tokens=global_tokens,
            documents=documents,
            positions=positions,
        )[0]
