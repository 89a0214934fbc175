"""The activation functions an FFN may name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Literal[
    "relu", "relu_squared", "gelu", "gelu_tanh", "quick_gelu", "silu", "mish", "sigmoid", "tanh", "identity"
]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu_squared": lambda x: torch.relu(x).square(),  # So et al. 2021 (Primer)
    "gelu": F.gelu,  # Hendrycks and Gimpel 2016; exact, by erf
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2's, BLOOM's, Gemma's and T5 1.1's
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),  # Hendrycks and Gimpel 2016; CLIP's
    "silu": F.silu,  # also called swish
    "mish": F.mish,  # Misra 2019
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}
