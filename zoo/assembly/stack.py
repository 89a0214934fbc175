"""A stack of layers, alike or not, with its positions and its last norm."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator
from torch import Tensor, nn

from registry import Problem, Spec
from zoo.assembly.layer import Layer, LayerSpec
from zoo.kernels.cache import DecoderCache
from zoo.kernels.dropout import dropout as drop
from zoo.kinds import NORM, POSITION, Position
from zoo.masks import Mask


class RepeatedLayerSpec(Spec):
    repeat: int = Field(1, ge=1, le=1000)
    """How many layers of this form follow each other; each has weights of its own."""
    layer: LayerSpec
    """Their form."""


def _last_norm(data: dict[str, Any]) -> Spec | None:
    groups = data.get("layers")
    layer = groups[-1].layer if groups else data.get("layer")
    return None if layer is None or layer.layout.ends_normed else layer.norm


def _first_dropout(data: dict[str, Any]) -> float:
    groups = data.get("layers")
    layer = groups[0].layer if groups else data.get("layer")
    return 0.0 if layer is None else layer.dropout


class StackSpec(Spec):
    n_layers: int | None = Field(None, ge=1, le=1000)
    """Layers of the form `layer`."""
    layer: LayerSpec | None = None
    """The form of all layers; or give `layers`."""
    layers: Annotated[tuple[RepeatedLayerSpec, ...], Field(min_length=1)] | None = None
    """Forms that differ, first to last, each with a repeat count; instead of n_layers and layer."""
    position: Annotated[Spec | None, POSITION] = None
    """For this stack; None: the model's."""
    final_norm: Annotated[Spec | None, NORM] = Field(default_factory=_last_norm)
    """After the last layer: by default the layer's norm where the layout leaves its output unnormalised, else none."""
    input_dropout: float = Field(default_factory=_first_dropout, ge=0, lt=1)
    """Probability of dropping a value of embeddings plus positions, in training: by default the first layer's."""

    @model_validator(mode="after")
    def _one_form(self) -> StackSpec:
        if (self.layers is None) == (self.layer is None):
            raise ValueError("give either n_layers and layer, or layers with repeats")
        if (self.layer is None) != (self.n_layers is None):
            raise ValueError("n_layers goes with layer: give both, or neither and layers")
        return self

    def each_layer(self) -> list[LayerSpec]:
        """The spec of every layer, first to last."""
        if self.layers is not None:
            return [group.layer for group in self.layers for _ in range(group.repeat)]
        assert self.layer is not None
        assert self.n_layers is not None
        return [self.layer] * self.n_layers

    def problems_in(self, path: str, *, d_model: int, position: Spec, is_decoder: bool) -> list[Problem]:
        """Everything wrong with this stack at width d_model, position being the model's."""
        own = self.position or position
        forms = {f"{path}.layer": self.layer} if self.layer is not None else {}
        for i, group in enumerate(self.layers or ()):
            forms[f"{path}.layers.{i}.layer"] = group.layer
        found: list[Problem] = []
        for where, layer in forms.items():
            assert layer is not None
            found += layer.problems_in(where, d_model=d_model, position=own, is_decoder=is_decoder)
        return found


class Stack(nn.Module):
    """Layers in a row over embedded input: positions and dropout first, the final norm last.

    Shapes: x [B, T, D], memory [B, S, D] or None -> [B, T, D].
    """

    def __init__(self, spec: StackSpec, *, d_model: int, position: Spec) -> None:
        super().__init__()
        self.position: Position = POSITION.build(spec.position or position, d_model=d_model)
        self.layers = nn.ModuleList(Layer(layer, d_model=d_model) for layer in spec.each_layer())
        self.final_norm = None if spec.final_norm is None else NORM.build(spec.final_norm, d_model=d_model)
        self.input_dropout = spec.input_dropout

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        memory_mask: Mask | None = None,
        cache: DecoderCache | None = None,
    ) -> Tensor:
        x = self.position.embed(x, mask.query_positions(x.shape[1], x.device))
        x = drop(x, self.input_dropout, training=self.training)
        for i, layer in enumerate(self.layers):
            x = layer(
                x,
                memory,
                mask=mask,
                memory_mask=memory_mask,
                position=self.position,
                cache=None if cache is None else cache.layers[i],
            )
        return x if self.final_norm is None else self.final_norm(x)
