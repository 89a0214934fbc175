"""A layer: what mixes positions, attention to a memory, and a feed-forward network, wired by a layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema
from torch import Tensor, nn

from registry import Problem, Spec, Within
from zoo.assembly.cache import LayerCache
from zoo.assembly.usage import is_unread, needless, reads, unused
from zoo.components.heads import has_hook
from zoo.kinds import ATTENTION, FFN, LAYOUT, MIXER, NORM, POSITION, LayoutSpec, MixerSpec, Position
from zoo.masks import Mask


class LayerSpec(Spec):
    layout: Annotated[LayoutSpec, LAYOUT] = Field("post_norm", validate_default=True)
    """How sublayers, residuals, norms and dropout are wired."""
    norm: Annotated[Spec, NORM] = Field("layer_norm", validate_default=True)
    """The norm of every sublayer."""
    attention_norm: Annotated[Spec | None, NORM] = None
    """The norm of the self-attention sublayer where it is another; None: norm."""
    self_attention: Annotated[Spec | None, ATTENTION] = None
    """Between the positions of the stack's own sequence."""
    mixer: Annotated[MixerSpec | None, MIXER] = None
    """What mixes the positions of the stack's own sequence in place of self_attention."""
    cross_attention: Annotated[Spec | None, ATTENTION] = None
    """From a decoder's positions to the encoder's output; decoders of an encoder-decoder have it."""
    ffn: Annotated[Spec, FFN]
    """At each position by itself."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Probability of dropping a value of a sublayer's output, in training."""
    position: Annotated[Spec | None, POSITION] = None
    """For this layer only; None: the stack's."""

    @model_validator(mode="after")
    def _one_mixes(self) -> LayerSpec:
        if (self.self_attention is None) == (self.mixer is None):
            raise ValueError("give either self_attention or mixer, whichever mixes positions here")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Says that one of the two that mix positions is given."""
        found = handler.resolve_ref_schema(handler(schema))
        given = {"type": ["object", "string"]}
        return {
            **found,
            "oneOf": [
                {"required": [slot], "properties": {slot: given}} for slot in ("self_attention", "mixer")
            ],
        }

    @property
    def mixing(self) -> Spec:
        """What mixes positions here: the self-attention's spec, or the mixer's."""
        found = self.mixer if self.self_attention is None else self.self_attention
        assert found is not None
        return found

    @property
    def mixing_slot(self) -> str:
        """The field that `mixing` stands in."""
        return "mixer" if self.self_attention is None else "self_attention"

    @property
    def reads_memory(self) -> bool:
        """Whether something here reads the encoder's output; one that is missing is told by `problems`."""
        if self.mixer is not None and self.mixer.reads_memory:
            return True
        return not getattr(self.cross_attention, "gives_nothing", False)

    @property
    def sublayers(self) -> tuple[tuple[str, Spec], ...]:
        """Name and norm of each sublayer, in order, without those that give nothing where the layout needs none."""
        slots: list[tuple[str, Spec | None, Spec]] = [
            ("self_attention", self.self_attention, self.attention_norm or self.norm),
            ("mixer", self.mixer, self.norm),
            ("cross_attention", self.cross_attention, self.norm),
            ("ffn", self.ffn, self.norm),
        ]
        return tuple(
            (name, norm)
            for name, part, norm in slots
            if part is not None and not (self.layout.leaves_out and getattr(part, "gives_nothing", False))
        )

    @property
    def norms(self) -> tuple[Spec, ...]:
        """The norm of each sublayer, in order."""
        return tuple(norm for _, norm in self.sublayers)

    def meets(self, position: Spec) -> bool:
        """Whether positions have to suit this layer's heads: not where a mixer passes them by."""
        return self.mixer is None or reads(self.mixer, position) or has_hook(position, "embed")

    def contexts(self, *, d_model: int, position: Spec, is_causal: bool) -> dict[str, Within]:
        """What the parts of a layer in a stack of width d_model work in, position being the stack's."""
        role, own = "causal" if is_causal else "self", self.position or position
        width = {"d_model": d_model}
        n_heads, d_k = heads(self.mixing), head_size(self.mixing, d_model)
        mixing = Within({**width, "role": role, "position": own})
        return {
            "norm": Within(width, n_times=0),  # the layout has them
            "attention_norm": Within(width, n_times=0),
            "layout": Within({**width, "norms": self.norms}),
            "self_attention": mixing,
            "mixer": mixing,
            "cross_attention": Within({**width, "role": "cross", "position": None}),
            "ffn": Within(width),
            "position": Within(
                {**width, "n_heads": n_heads, "d_k": d_k, "role": role},
                n_times=1 if self.position else 0,
                is_checked=self.meets(own),
                inherited=position,
                told_at=self.mixing_slot,
            ),
        }

    def problems(self, path: str, *, d_model: int, has_memory: bool) -> list[Problem]:
        """What is wrong with the parts together; has_memory is whether there is an encoder's output to attend to."""
        found = self._unused(path)
        adds_only = not (has_hook(self.position, "rotate") or has_hook(self.position, "bias"))
        n_heads = heads(self.mixing)
        if has_hook(self.position, "embed") and adds_only:
            message = "adds to the embeddings only, which a layer does not; set it for the stack or the model"
            found.append(Problem(f"{path}.position", message))
        elif has_hook(self.position, "embed"):
            message = (
                "adds to the embeddings as well, which a layer does not; give it what meets its scores alone"
            )
            found.append(Problem(f"{path}.position", message))
        elif self.position is not None and is_unread(
            self.position, [self.mixing], d_model=d_model, n_heads=n_heads
        ):
            found.append(unused(f"{path}.position", self.position))
        place = f"{path}.cross_attention"
        if self.cross_attention is not None and not has_memory:
            found.append(Problem(place, "there is no memory here to attend to; remove it"))
        elif self.mixer is not None and self.mixer.reads_memory:
            if not has_memory:
                message = (
                    "there is no memory here for it to read; it belongs into an encoder_decoder's decoder"
                )
                found.append(Problem(f"{path}.mixer", message))
        elif self.cross_attention is None and has_memory:
            found.append(Problem(place, "missing: a decoder's layers must attend to the encoder"))
        return found

    def _unused(self, path: str) -> list[Problem]:
        """Norms that no sublayer uses, and a layer that has no sublayer."""
        if not self.sublayers:
            return [Problem(path, "has neither attention nor ffn, so it does nothing; leave it out")]
        if self.layout.scales_branches and not self.layout.leaves_out:
            parts = (getattr(self, name) for name, _ in self.sublayers)
            if any(getattr(part, "gives_nothing", False) for part in parts):
                why = (
                    "nothing uses its gain on a sublayer that is none; within take a layout such as pre_norm"
                )
                return [Problem(f"{path}.layout", why)]
        default, no_norms = NORM.entry("layer_norm").spec(), "nothing uses it: the layout has no norms"
        if not self.layout.uses_norms:
            return needless(
                [
                    (f"{path}.norm", self.norm, default, no_norms),
                    (f"{path}.attention_norm", self.attention_norm, None, no_norms),
                ]
            )
        if "self_attention" in dict(self.sublayers):
            return []
        why = "nothing uses it: there is no self-attention; leave it out"
        return needless([(f"{path}.attention_norm", self.attention_norm, None, why)])


def head_size(attention: Spec, d_model: int) -> int:
    """K of an attention's spec, as positions turn it, by the field's names d_rotated, or d_k and n_heads; D for one
    without heads."""
    return (
        getattr(attention, "d_rotated", None)
        or getattr(attention, "d_k", None)
        or d_model // heads(attention)
    )


def heads(attention: Spec) -> int:
    """H of an attention's spec by the field's name n_heads; 1 for one without heads."""
    return getattr(attention, "n_heads", 1)


class Layer(nn.Module):
    """One layer of a stack, built from its spec.

    Shapes: x [B, T, D], memory [B, S, D] or None -> [B, T, D].
    """

    def __init__(self, spec: LayerSpec, *, d_model: int) -> None:
        super().__init__()
        self.self_attention = (
            None if spec.self_attention is None else ATTENTION.build(spec.self_attention, d_model=d_model)
        )
        self.mixer = None if spec.mixer is None else MIXER.build(spec.mixer, d_model=d_model)
        self.mixer_reads_memory = spec.mixer is not None and spec.mixer.reads_memory
        self.cross_attention = (
            None if spec.cross_attention is None else ATTENTION.build(spec.cross_attention, d_model=d_model)
        )
        self.ffn = FFN.build(spec.ffn, d_model=d_model)
        self.sublayers = tuple(name for name, _ in spec.sublayers)
        self.layout = LAYOUT.build(spec.layout, d_model=d_model, norms=spec.norms, dropout=spec.dropout)
        self.position = (
            None
            if spec.position is None
            else POSITION.build(spec.position, d_model=d_model, n_heads=heads(spec.mixing))
        )

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        memory_mask: Mask | None = None,
        position: Position | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        own = self.position or position

        held = None if cache is None else cache.own

        def attend_self(x: Tensor) -> Tensor:
            assert self.self_attention is not None
            return self.self_attention(x, mask=mask, position=own, cache=held)

        def mix(x: Tensor) -> Tensor:
            assert self.mixer is not None
            read = {"memory": memory, "memory_mask": memory_mask} if self.mixer_reads_memory else {}
            return self.mixer(x, mask=mask, position=own, cache=held, **read)

        def attend_memory(x: Tensor) -> Tensor:
            assert self.cross_attention is not None
            read = None if cache is None else cache.cross_attention
            return self.cross_attention(x, memory, mask=memory_mask, position=None, cache=read)

        each: dict[str, Callable[[Tensor], Tensor]] = {
            "self_attention": attend_self,
            "mixer": mix,
            "cross_attention": attend_memory,
            "ffn": self.ffn,
        }
        return self.layout(x, [each[name] for name in self.sublayers])

    @property
    def branches(self) -> list[nn.Module]:
        """The module of each sublayer."""
        return [getattr(self, name) for name in self.sublayers]

    def new_cache(self) -> LayerCache:
        """What its parts keep of an empty sequence."""
        mixing = self.mixer if self.self_attention is None else self.self_attention
        assert mixing is not None
        own = mixing.new_cache()
        cross = None if self.cross_attention is None else self.cross_attention.new_memory_cache()
        of_memory = [own, cross] if self.mixer_reads_memory else [cross]
        return LayerCache(
            own=own, cross_attention=cross, of_memory=[one for one in of_memory if one is not None]
        )
