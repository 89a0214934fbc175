"""A stack of layers, alike or not, with its positions and its last norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema
from torch import Tensor, nn

from registry import Problem, Spec, Within, partial
from zoo.assembly.cache import StackCache
from zoo.assembly.layer import Layer, LayerSpec, head_size, heads
from zoo.assembly.merging import merged, with_layers
from zoo.assembly.usage import has_weights, is_unread, reads, unused
from zoo.components.heads import has_hook
from zoo.kernels.dropout import dropout as drop
from zoo.kinds import NORM, POSITION, Position
from zoo.masks import Mask


class LayerGroupSpec(Spec):
    repeat: int = Field(1, ge=1, le=1000)
    """How often the layers of this group follow each other; each has weights of its own."""
    layer: LayerSpec | None = None
    """The one layer that is repeated."""
    cycle: Annotated[tuple[LayerSpec, ...], Field(min_length=1)] | None = None
    """Or several, repeated in this order."""

    @model_validator(mode="after")
    def _one_form(self) -> LayerGroupSpec:
        if (self.layer is None) == (self.cycle is None):
            raise ValueError("give either layer, or cycle with several layers")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Says that one of the forms is given; what is in a cycle may be partial where the group may be."""
        found = handler.resolve_ref_schema(handler(schema))
        cycle = found["properties"]["cycle"]["anyOf"][0]
        whole, cycle["items"] = cycle["items"], partial(cycle["items"])
        forms = [_given("layer", type="object"), _given("cycle", type="array", items=whole)]
        return {**found, "oneOf": forms}

    def each_form(self) -> dict[str, LayerSpec]:
        """The layers of one round, by their place in this spec."""
        if self.layer is not None:
            return {"layer": self.layer}
        return {f"cycle.{i}": layer for i, layer in enumerate(self.cycle or ())}

    def contexts(self, **own: Any) -> dict[str, Within]:
        """The stack's own, for as many layers."""
        return {field: Within(own, self.repeat, "repeat") for field in ("layer", "cycle")}


def _given(field: str, **schema: Any) -> dict[str, Any]:
    """The JSON Schema of a mapping in which a field has a value of that schema."""
    return {"required": [field], "properties": {field: schema}}


def _layers(data: dict[str, Any]) -> list[LayerSpec]:
    """The first and the last layer of a stack whose other fields are still to come; none where they are wrong."""
    if data.get("layer") is not None:
        return [data["layer"]]
    return [layer for group in data.get("layers") or () for layer in group.each_form().values()]


def _last_norm(data: dict[str, Any]) -> Spec | None:
    layers = _layers(data)
    if not layers or layers[-1].layout.ends_normed or not layers[-1].layout.uses_norms:
        return None
    return layers[-1].norm


def _first_dropout(data: dict[str, Any]) -> float:
    layers = _layers(data)
    return layers[0].dropout if layers else 0.0


class StackSpec(Spec):
    n_layers: int | None = Field(None, ge=1, le=1000)
    """Layers of the form `layer`."""
    layer: LayerSpec | None = None
    """The form of all layers; with `layers`, what they have in common."""
    layers: Annotated[tuple[LayerGroupSpec, ...], Field(min_length=1)] | None = None
    """Layers that differ, first to last, in groups with a repeat count; what `layer` says need not be said again."""
    passes: int = Field(1, ge=1, le=1000)
    """How often the layers are gone through, first to last, each time with the same weights (ALBERT: 12 times one)."""
    position: Annotated[Spec | None, POSITION] = None
    """For this stack; None: the model's."""
    input_norm: Annotated[Spec | None, NORM] = None
    """After embeddings plus positions, before their dropout; None: there is none."""
    final_norm: Annotated[Spec | None, NORM] = Field(default_factory=_last_norm)
    """After the last layer: by default none where the layout has none or leaves its output normalised, else the
    layer's."""
    input_dropout: float = Field(default_factory=_first_dropout, ge=0, lt=1)
    """Probability of dropping a value of embeddings plus positions, in training: by default the first layer's."""
    output_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value of the stack's output, in training."""
    layer_drop: float = Field(0.0, ge=0, lt=1)
    """Probability of leaving a whole layer out, in training (Fan et al. 2020)."""

    @model_validator(mode="before")
    @classmethod
    def _what_layers_have_in_common(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("layer") is None:
            return data
        if not isinstance(data.get("layers"), list | tuple):
            return data
        base = data["layer"]
        groups = [
            {**group, "layer": {}}
            if isinstance(group, Mapping) and not {"layer", "cycle"} & set(group)
            else group
            for group in data["layers"]
        ]
        rest = {key: value for key, value in data.items() if key != "layer"}
        return with_layers({**rest, "layers": groups}, lambda layer: merged(base, layer))

    @model_validator(mode="after")
    def _one_form(self) -> StackSpec:
        if self.layers is None and self.layer is None:
            raise ValueError(
                "give either n_layers and layer, or layers with repeats, such as layers: [{repeat: 2, layer: {...}}]"
            )
        if (self.layer is None) != (self.n_layers is None):
            raise ValueError(
                "n_layers goes with layer alone: give both, or layers with repeats, such as "
                "layers: [{repeat: 2, layer: {...}}, {repeat: 4, layer: {...}}]"
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Says which fields go together, and that of `layer` and `layers` each may leave out what the other has."""
        found = handler.resolve_ref_schema(handler(schema))
        layer, layers = (found["properties"][name]["anyOf"] for name in ("layer", "layers"))
        whole_layer, layer[0] = layer[0], partial(layer[0])
        whole_group, layers[0]["items"] = layers[0]["items"], partial(layers[0]["items"])
        alone = {"properties": {"n_layers": {"type": "integer"}, "layer": whole_layer}}
        groups: dict[str, Any] = {
            "properties": {"n_layers": {"type": "null"}},
            "if": {"not": _given("layer", type="object")},
            "then": {"properties": {"layers": {"items": whole_group}}},
        }
        return {
            **found,
            "if": _given("layers", type="array"),
            "then": groups,
            "else": {"required": ["n_layers", "layer"], **alone},
        }

    def each_layer(self) -> list[LayerSpec]:
        """The spec of every layer, first to last."""
        if self.layers is not None:
            rounds = ((group.repeat, list(group.each_form().values())) for group in self.layers)
            return [layer for repeat, layers in rounds for layer in layers * repeat]
        assert self.layer is not None
        assert self.n_layers is not None
        return [self.layer] * self.n_layers

    def forms(self, path: str) -> list[tuple[str, LayerSpec]]:
        """Each form of layer in this stack at `path`: its place and its spec."""
        if self.layer is not None:
            return [(f"{path}.layer", self.layer)]
        return [
            (f"{path}.layers.{i}.{place}", layer)
            for i, group in enumerate(self.layers or ())
            for place, layer in group.each_form().items()
        ]

    @property
    def first_mixing(self) -> Spec:
        """What mixes in the first layer that may read positions, else in the first: they have its heads."""
        mixing = [layer.mixing for _, layer in self.forms("")]
        return next((each for each in mixing if getattr(each, "reads", None) != ()), mixing[0])

    @property
    def n_heads(self) -> int:
        """The heads of the stack's positions."""
        return heads(self.first_mixing)

    def contexts(
        self, *, d_model: int, position: Spec, is_causal: bool, has_memory: bool, **rest: Any
    ) -> dict[str, Within]:
        """What the parts of this stack of width d_model work in, position being the model's."""
        own = self.position or position
        layer = {"d_model": d_model, "position": own, "is_causal": is_causal, "has_memory": has_memory}
        return {
            "layer": Within(layer, self.n_layers or 1, "n_layers", self.passes),
            "layers": Within(layer, n_passes=self.passes),
            "position": self.position_within(own, d_model=d_model, is_causal=is_causal),
            "input_norm": Within({"d_model": d_model}),
            "final_norm": Within({"d_model": d_model}),
        }

    def position_within(self, position: Spec, *, d_model: int, is_causal: bool) -> Within:
        """What the stack's positions work in. Each layer that uses them looks at their limits; if none does, but the
        stack adds them all the same, or mixers pass them by, they are looked at as those of the first layer.
        """
        heirs = [layer for _, layer in self.forms("") if layer.position is None]
        return Within(
            {
                "d_model": d_model,
                "n_heads": self.n_heads,
                "d_k": head_size(self.first_mixing, d_model),
                "role": "causal" if is_causal else "self",
            },
            is_checked=not any(layer.meets(position) for layer in heirs)
            and (bool(heirs) or has_hook(position, "embed")),
        )

    def uses(self, position: Spec, *, d_model: int) -> bool:
        """Whether anything here uses these positions as the stack's; ones that do nothing need no use."""
        mixing = [layer.mixing for _, layer in self.forms("") if layer.position is None]
        return not is_unread(position, mixing, d_model=d_model, n_heads=self.n_heads)

    def learns_in_vain(self, position: Spec, *, d_model: int) -> bool:
        """Whether these positions, as the stack's, would hold weights that nothing uses."""
        is_used = self.uses(position, d_model=d_model)
        return not is_used and has_weights(position, d_model=d_model, n_heads=self.n_heads)

    def problems(
        self, path: str, *, d_model: int, position: Spec, names_global_tokens: bool
    ) -> list[Problem]:
        """What is wrong with the layers and positions together, position being the model's.

        names_global_tokens is whether the model is told at each call which tokens are global.
        """
        own = self.position or position
        found: list[Problem] = []
        if self.position is not None and not self.uses(self.position, d_model=d_model):
            found.append(unused(f"{path}.position", self.position, path))
        first = self.n_heads
        for where, layer in self.forms(path):
            if getattr(layer.mixing, "needs_global_tokens", False) and not names_global_tokens:
                message = (
                    "nothing uses the projections for global tokens: this model is not told which those are, and "
                    "n_global is 0; give n_global, or take restricted attention"
                )
                found.append(Problem(f"{where}.self_attention.n_global", message))
            n_heads = heads(layer.mixing)
            shares = layer.position is None and reads(layer.mixing, own)
            if shares and getattr(own, "is_per_head", False) and n_heads != first:
                message = (
                    f"n_heads ({n_heads}) must be the first layer's ({first}), for they share positions that have "
                    "something for each head; or give this layer a position of its own"
                )
                found.append(Problem(f"{where}.{layer.mixing_slot}", message))
        return found


def stack_context(
    model: Any, *, is_causal: bool, has_memory: bool = False, names_global_tokens: bool = False
) -> dict[str, Any]:
    """The context of a stack of a model's spec; the rest is what `LayerSpec.problems` and the stack's ask."""
    return {
        "d_model": model.d_model,
        "position": model.position,
        "is_causal": is_causal,
        "has_memory": has_memory,
        "names_global_tokens": names_global_tokens,
    }


def inherited_positions(model: Any, **is_causal: bool) -> tuple[Within, ...]:
    """A model's positions in each of its stacks, given by name, that has none of its own: each has a copy."""
    stacks = {name: getattr(model, name) for name in is_causal}
    return tuple(
        stack.position_within(model.position, d_model=model.d_model, is_causal=is_causal[name])
        for name, stack in stacks.items()
        if stack.position is None
    )


def check_positions(positions: Tensor | None, *, are_counted: bool, name: str = "positions") -> None:
    """Refuses positions given to a call, by that name, where the embedding counts places itself.

    Raises: ValueError.
    """
    if positions is not None and are_counted:
        raise ValueError(
            f"the embedding counts the places of a row itself and takes no {name} given to a call"
        )


class Stack(nn.Module):
    """Layers in a row over embedded input: positions, norm and dropout of the input first, the final norm last.

    The row may be gone through several times: Dehghani et al. 2019 (Universal Transformer), Lan et al. 2020 (ALBERT).

    is_causal is whether it is one of those that write: what its mask says at each call, said once.
    Shapes: x [B, T, D], memory [B, S, D] or None -> [B, T, D].
    """

    def __init__(self, spec: StackSpec, *, d_model: int, position: Spec, is_causal: bool) -> None:
        super().__init__()
        layers = spec.each_layer()
        own = spec.position or position
        self.position: Position = POSITION.build(own, d_model=d_model, n_heads=spec.n_heads)
        self.is_causal = is_causal
        self.input_norm = None if spec.input_norm is None else NORM.build(spec.input_norm, d_model=d_model)
        self.layers = nn.ModuleList(Layer(layer, d_model=d_model) for layer in layers)
        self.final_norm = None if spec.final_norm is None else NORM.build(spec.final_norm, d_model=d_model)
        self.input_dropout = spec.input_dropout
        self.output_dropout = spec.output_dropout
        self.passes = spec.passes
        self.layer_drop = spec.layer_drop

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        memory_mask: Mask | None = None,
        cache: StackCache | None = None,
    ) -> Tensor:
        if mask.positions is not None:
            mask.check_positions(x.shape[0], x.shape[1], x.device)
        if cache is not None:
            cache.take_positions(mask.positions, name=mask.name_of("positions"))
        x = self.position.embed(x, mask=mask)
        if self.input_norm is not None:
            x = self.input_norm(x)
        x = drop(x, self.input_dropout, training=self.training)
        for i, layer in enumerate([*self.layers] * self.passes):
            if self.training and self.layer_drop and torch.rand(()) < self.layer_drop:
                continue
            x = layer(
                x,
                memory,
                mask=mask,
                memory_mask=memory_mask,
                position=self.position,
                cache=None if cache is None else cache.layers[i],
            )
        if cache is not None:
            cache.length += x.shape[1]
        if self.final_norm is not None:
            x = self.final_norm(x)
        return drop(x, self.output_dropout, training=self.training)

    @property
    def residual_branches(self) -> list[nn.Module]:
        """The modules whose outputs are added up: each sublayer of each layer."""
        return [branch for layer in self.layers for branch in layer.branches]  # type: ignore[union-attr]

    def new_cache(self) -> StackCache:
        """What an empty sequence leaves: to be handed to `forward` with every new piece of it."""
        layers = [*self.layers] * self.passes
        return StackCache([layer.new_cache() for layer in layers])
