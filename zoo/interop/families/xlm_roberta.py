"""XLM-R: Conneau et al. 2020. RoBERTa over a hundred languages."""

from __future__ import annotations

from zoo.interop.families.roberta import BASE, roberta_family
from zoo.interop.family import Published
from zoo.interop.post_norm_encoder import Defaults

FAMILY = roberta_family(
    "xlm-roberta",
    "XLMRoberta",
    Defaults(vocab_size=30522, padding_id=1),
    Published(
        source="huggingface.co/FacebookAI/xlm-roberta-base",
        config={
            **BASE,
            "architectures": ["XLMRobertaForMaskedLM"],
            "output_past": True,
            "vocab_size": 250002,
        },
    ),
)
