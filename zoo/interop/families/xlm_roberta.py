"""XLM-R: Conneau et al. 2020. RoBERTa over a hundred languages."""

from __future__ import annotations

from zoo.interop.families.roberta import roberta_family
from zoo.interop.family import Published
from zoo.interop.post_norm_encoder import Defaults

FAMILY = roberta_family(
    "xlm-roberta",
    "XLMRoberta",
    Defaults(vocab_size=30522, padding_id=1),
    Published(
        source="huggingface.co/FacebookAI/xlm-roberta-base",
        config={
            "architectures": ["XLMRobertaForMaskedLM"],
            "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 768,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "output_past": True,
            "pad_token_id": 1,
            "type_vocab_size": 1,
            "vocab_size": 250002,
        },
    ),
)
