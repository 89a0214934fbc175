"""Weights for very deep stacks, small where they feed the residual sum."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from registry import Spec
from zoo.components.initialization._modules import Declared, declared, drawn, zero_bias
from zoo.kinds import INITIALIZATION


class DeepNormInitializationSpec(Spec):
    type: Literal["deep_norm"] = "deep_norm"
    beta: float = Field(gt=0, le=1)
    """Gain of ffn, value and output projections. A model of one stack of N layers: (8N)^-¼; an encoder of N layers
    with a decoder of M: 0.87·(N⁴M)^(-1/16). Goes with layout deep_norm."""
    decoder_beta: float | None = Field(None, gt=0, le=1)
    """The gain in the model's decoder: (12M)^-¼ where an encoder goes before it; None: beta."""


@INITIALIZATION.register(
    "deep_norm",
    spec=DeepNormInitializationSpec,
    examples=[{"beta": 0.5}, {"beta": 0.6, "decoder_beta": 0.4}],
)
class DeepNormInitialization:
    """Matrices normal with variance 2·gain² / (fan_in + fan_out), embeddings with deviation D^-½, biases zero.

    The gain is β for what parts of a layer declare as residual_input or residual_output, which are the matrices of an
    ffn (a mixture's router aside), values and outputs of attentions; it is 1 for all others.

    Source: Wang et al. 2022 (DeepNet), Figure 2; embeddings and biases as in the authors' torchscale.
    Shapes: sets nn.Linear, nn.Conv1d, nn.Conv2d and nn.Embedding modules, frozen and weight-normalised ones aside;
        any other parameter keeps what its module gave it.
    """

    def __init__(self, *, beta: float, decoder_beta: float | None) -> None:
        self.beta = beta
        self.decoder_beta = beta if decoder_beta is None else decoder_beta

    def __call__(self, model: nn.Module) -> None:
        branches = declared(model)
        for module, weight in drawn(model):
            if isinstance(module, nn.Embedding):
                nn.init.normal_(weight, std=module.embedding_dim**-0.5)
            else:
                nn.init.xavier_normal_(weight, gain=self._gain(branches.get(module)))
                zero_bias(module)

    def _gain(self, found: Declared | None) -> float:
        if found is None:
            return 1.0
        return self.decoder_beta if found.is_causal else self.beta
