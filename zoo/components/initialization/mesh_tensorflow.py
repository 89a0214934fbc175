"""How T5's authors set the weights of a model whose attention does not scale its scores."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from registry import Spec
from zoo.components.heads import Heads
from zoo.components.initialization._modules import drawn, zero_bias
from zoo.kinds import INITIALIZATION, Position


class MeshTensorflowSpec(Spec):
    type: Literal["mesh_tensorflow"] = "mesh_tensorflow"
    embedding_std: float = Field(1.0, gt=0, le=10)
    """Standard deviation of embeddings, those of positions aside."""


@INITIALIZATION.register("mesh_tensorflow", spec=MeshTensorflowSpec, examples=[{}, {"embedding_std": 0.5}])
class MeshTensorflowInitialization:
    """Matrices normal with deviation fan_in^-½, so that a product keeps the deviation of its input; biases zero.

    Queries have it times 1 / (√K · scale): scores that are not multiplied by 1/√K begin as if they were. Embeddings of
    positions, such as relative buckets, have D^-½, D being the width of the first attention's input.

    Source: Raffel et al. 2020, by the code: Mesh TensorFlow, and transformers' T5 after it.
    Differs: a head that is not tied is a matrix like any other, as in Mesh TensorFlow; transformers' T5 gives it the
        embeddings' deviation.
    Shapes: sets nn.Linear, nn.Conv1d, nn.Conv2d and nn.Embedding modules and untied heads, frozen and
        weight-normalised ones aside; any other parameter keeps what its module gave it.
    """

    def __init__(self, *, embedding_std: float) -> None:
        self.embedding_std = embedding_std

    def __call__(self, model: nn.Module) -> None:
        attentions = [module for module in model.modules() if isinstance(module, Heads)]
        gains = {id(each.query): 1 / (each.d_k**0.5 * _scale(each)) for each in attentions}
        positions = {
            id(part)
            for module in model.modules()
            if isinstance(module, Position)
            for part in module.modules()
        }
        for module, weight in drawn(model):
            if id(module) in positions and isinstance(module, nn.Embedding):
                width = attentions[0].query.in_features if attentions else module.embedding_dim
                nn.init.normal_(weight, std=width**-0.5)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(weight, std=self.embedding_std)
            else:
                fan_in = weight[0].numel()
                nn.init.normal_(weight, std=fan_in**-0.5 * gains.get(id(module), 1.0))
                zero_bias(module)


def _scale(attention: Heads) -> float:
    """What an attention multiplies its scores by."""
    scale: float = getattr(attention, "scale", attention.d_k**-0.5)
    return scale
