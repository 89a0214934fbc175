"""Attentions from elsewhere, wrapped for the laws: of torch and of transformers."""

import torch
from torch import nn
from transformers import BertConfig, LlamaConfig
from transformers.models.bert.modeling_bert import BertSelfAttention
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

from zoo.conformance import plain_part


def of_torch(module, query, memory, allowed):
    """Under a mask that is True where nothing may be attended to, for each head."""
    hidden = ~allowed.repeat_interleave(module.num_heads, dim=0)  # [B·H, T, S]
    return module(query, memory, memory, attn_mask=hidden, need_weights=False)[0]


def of_transformers(module, query, memory, allowed):
    """Under a mask that is added to the scores: the lowest number that both float32, for the softmax, and x have."""
    lowest = max(torch.finfo(torch.float32).min, torch.finfo(query.dtype).min)
    added = torch.zeros(allowed.shape, dtype=query.dtype, device=query.device).masked_fill(~allowed, lowest)
    return module(query, added[:, None])


class Llama(nn.Module):
    """Of three heads over one of keys and values, with its rotary positions."""

    def __init__(self, d_model, kernel):
        super().__init__()
        config = LlamaConfig(
            hidden_size=d_model, num_attention_heads=3, num_key_value_heads=1, attn_implementation=kernel
        )
        self.attention, self.rotary = LlamaAttention(config, layer_idx=0), LlamaRotaryEmbedding(config)

    def forward(self, query, added):
        places = torch.arange(query.shape[1], device=query.device)[None]
        return self.attention(query, self.rotary(query, places), added)[0]


class Bert(nn.Module):
    """Of three heads, without the projection that follows."""

    def __init__(self, d_model, kernel):
        super().__init__()
        config = BertConfig(hidden_size=d_model, num_attention_heads=3, attn_implementation=kernel)
        self.attention = BertSelfAttention(config)

    def forward(self, query, added):
        return self.attention(query, attention_mask=added)[0]


def wrapped(cls, kernel):
    """One of transformers' with a kernel."""
    return plain_part(
        "attention",
        lambda d_model: cls(d_model, kernel),
        run=of_transformers,
        roles=("self", "causal"),
        name=f"{cls.__name__.lower()}_{kernel}",
    )


multi_head = plain_part(
    "attention",
    lambda d_model: nn.MultiheadAttention(d_model, 3, batch_first=True),
    run=of_torch,
    name="torch_multi_head",
)
llama, llama_fused = wrapped(Llama, "eager"), wrapped(Llama, "sdpa")
bert, bert_fused = wrapped(Bert, "eager"), wrapped(Bert, "sdpa")
