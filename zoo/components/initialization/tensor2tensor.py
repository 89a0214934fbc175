"""How the authors' own code set the weights; the paper does not say."""

from __future__ import annotations

from typing import Literal

from torch import nn

from registry import Spec
from zoo.components.initialization._modules import drawn, zero_bias
from zoo.kinds import INITIALIZATION


class Tensor2TensorSpec(Spec):
    type: Literal["tensor2tensor"] = "tensor2tensor"


@INITIALIZATION.register("tensor2tensor", spec=Tensor2TensorSpec, examples=[{}])
class Tensor2TensorInitialization:
    """Matrices uniform within ±√(6 / (fan_in + fan_out)), embeddings normal with deviation D^-½, biases zero.

    Source: tensor2tensor, transformer_base: initializer "uniform_unit_scaling" with gain 1.0 (variance scaling over
        the fans' mean; Glorot and Bengio 2010), and symbol_modality's embedding initializer.
    Shapes: sets nn.Linear, nn.Conv1d, nn.Conv2d and nn.Embedding modules, frozen and weight-normalised ones aside;
        any other parameter keeps what its module gave it. A convolution's fans count its kernel's places.
    """

    def __call__(self, model: nn.Module) -> None:
        for module, weight in drawn(model):
            if isinstance(module, nn.Embedding):
                nn.init.normal_(weight, std=module.embedding_dim**-0.5)
            else:
                nn.init.xavier_uniform_(weight)
                zero_bias(module)
