"""RetNet as its paper's formulas say it, in the format of flash-linear-attention, of which there are checkpoints.

transformers has no RetNet, and that library computes on GPUs only. So these classes are what the family is certified
against, and what a live model becomes. They are slow: the parallel form in float64, each token against each, and no
state is kept between tokens that are generated.

Source: Sun et al. 2023 (2307.08621), equations 5 and 8 and figure 2; fields, their defaults and the names of tensors:
flash-linear-attention 0.6, which also normalises heads by their root mean square, with a gain.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput


class RetNetConfig(PreTrainedConfig):
    """The fields that change what a model computes, and those of initialization and search."""

    model_type = "retnet"

    vocab_size: int = 32000
    hidden_size: int = 2048
    num_hidden_layers: int = 24
    num_heads: int = 8
    num_kv_heads: int | None = None
    expand_k: float = 1.0
    expand_v: float = 2.0
    hidden_ratio: float | None = 2
    intermediate_size: int | None = None
    elementwise_affine: bool = True
    fuse_norm: bool = True
    norm_eps: float = 1e-6
    initializer_range: float = 0.02
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    tie_word_embeddings: bool = False

    @property
    def width(self) -> int:
        """The width inside a network: given, or a multiple of 256."""
        if self.intermediate_size is not None:
            return self.intermediate_size
        ratio = 4 if self.hidden_ratio is None else self.hidden_ratio
        return -(-int(self.hidden_size * ratio * 2 / 3) // 256) * 256


class RetNetModel(PreTrainedModel):
    """Token ids [B, T] -> vectors [B, T, D]."""

    config_class = RetNetConfig
    base_model_prefix = "model"

    def __init__(self, config: RetNetConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings of tokens."""
        return self.embeddings

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        """Rows may be padded on either side, where attention_mask [B, T] is 0."""
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        x = self.embeddings(input_ids)
        for layer in self.layers:
            x = layer(x, real.bool())
        return BaseModelOutput(last_hidden_state=self.norm(x))


class RetNetForCausalLM(PreTrainedModel, GenerationMixin):
    """Token ids [B, T] -> logits [B, T, V]."""

    config_class = RetNetConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "model.embeddings.weight"}  # noqa: RUF012, as the base declares it

    def __init__(self, config: RetNetConfig) -> None:
        super().__init__(config)
        self.model = RetNetModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, return_dict: bool = True
    ) -> CausalLMOutput:
        """Rows may be padded on either side, where attention_mask [B, T] is 0; return_dict is what transformers'
        search asks for, and always so."""
        vectors = self.model(input_ids, attention_mask).last_hidden_state
        return CausalLMOutput(logits=self.lm_head(vectors))

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *, attention_mask: Tensor | None = None, **rest: Any
    ) -> dict[str, Any]:
        """The whole row each time, for no state is kept."""
        return {"input_ids": input_ids, "attention_mask": attention_mask}


class _Layer(nn.Module):
    def __init__(self, config: RetNetConfig) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.attn = _Retention(config)
        self.mlp_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = _Network(config)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = x + self.attn(self.attn_norm(x), real)
        return x + self.mlp(self.mlp_norm(x))


class _Retention(nn.Module):
    def __init__(self, config: RetNetConfig) -> None:
        super().__init__()
        d_model = config.hidden_size
        keys, values = round(d_model * config.expand_k), round(d_model * config.expand_v)
        self.n_heads, self.eps = config.num_heads, config.norm_eps
        self.q_proj = nn.Linear(d_model, keys, bias=False)
        self.k_proj = nn.Linear(d_model, keys, bias=False)
        self.v_proj = nn.Linear(d_model, values, bias=False)
        self.g_proj = nn.Linear(d_model, values, bias=False)
        self.o_proj = nn.Linear(values, d_model, bias=False)
        norm = nn.RMSNorm(values // self.n_heads, self.eps, elementwise_affine=config.elementwise_affine)
        self.name = "g_norm_swish_gate" if config.fuse_norm else "g_norm"
        self.add_module(self.name, norm)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2).double()  # [B, H, T, K]
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        places = real.cumsum(dim=1).double()  # [B, T]
        n_pairs = q.shape[-1] // 2
        theta = 10000.0 ** -(torch.arange(n_pairs, dtype=torch.float64, device=x.device) / n_pairs)
        angles = places[:, None, :, None] * theta
        turn = torch.polar(torch.ones_like(angles), angles)  # e^(inθ)
        q, k = (torch.complex(*each.chunk(2, dim=-1)) * turn for each in (q, k))
        scores = (q @ k.mH).real * (2 * n_pairs) ** -0.5  # [B, H, T, T]
        gamma = 1 - 2.0 ** (-5 - torch.arange(self.n_heads, dtype=torch.float64, device=x.device))
        apart = (places[:, :, None] - places[:, None, :])[:, None]
        is_met = (apart >= 0) & real[:, None, None]
        decay = torch.where(is_met, gamma[:, None, None] ** apart.clamp(min=0), 0.0)
        heads = self.get_submodule(self.name)((scores * decay @ v).to(x.dtype)).transpose(1, 2)
        return self.o_proj(F.silu(self.g_proj(x)) * heads.flatten(2))


class _Network(nn.Module):
    def __init__(self, config: RetNetConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.width, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.width, bias=False)
        self.down_proj = nn.Linear(config.width, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
