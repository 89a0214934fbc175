"""CamemBERT: Martin et al. 2020. RoBERTa in French."""

from __future__ import annotations

from zoo.interop.families.roberta import BASE, roberta_family
from zoo.interop.family import Published
from zoo.interop.post_norm_encoder import Defaults

FAMILY = roberta_family(
    "camembert",
    "Camembert",
    Defaults(vocab_size=30522, padding_id=1),
    Published(
        source="huggingface.co/almanach/camembert-base",
        config={**BASE, "architectures": ["CamembertForMaskedLM"], "output_past": True, "vocab_size": 32005},
    ),
)
