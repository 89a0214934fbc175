"""HuBERT: Hsu et al. 2021. The layers of wav2vec 2.0, trained on clusters of frames."""

from __future__ import annotations

from zoo.interop.families.wav2vec2 import PUBLISHED, wav2vec2_family
from zoo.interop.family import Published

FAMILY = wav2vec2_family(
    "hubert",
    "Hubert",
    {"conv_pos_batch_norm": False, "feat_proj_layer_norm": True},
    Published(
        source="huggingface.co/facebook/hubert-base-ls960",
        config={**PUBLISHED, "architectures": ["HubertModel"]},
    ),
)
