"""wav2vec 2.0: Baevski et al. 2020, with its labels (CTC) or as a base model; "stable layer norm" is pre-norm.

Its convolutional positions are weight-normalised: direction and gain are tensors of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor

from zoo.components.embedding.waveform_frames import n_frames, receptive_field
from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.rules import Anew, Rules, for_each, module, tensor
from zoo.interop.trial import Padding, Trial, padding_mask


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    eps = config.number("layer_norm_eps", 1e-5)
    norm = {"type": "layer_norm", "eps": eps}
    is_stable = config.boolean("do_stable_layer_norm", False)
    dropout = config.number("hidden_dropout", 0.1)
    return {
        "type": "encoder_only",
        "d_model": config.integer("hidden_size", 768),
        "inputs": _inputs(config, eps),
        "position": {
            "type": "convolutional",
            "kernel_size": config.integer("num_conv_pos_embeddings", 128),
            "n_groups": config.integer("num_conv_pos_embedding_groups", 16),
        },
        "encoder": {
            "n_layers": config.integer("num_hidden_layers", 12),
            "input_norm": None if is_stable else norm,
            "layer": {
                "layout": "pre_norm" if is_stable else "post_norm",
                "norm": norm,
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("num_attention_heads", 12),
                    "bias": True,
                    "dropout": config.number("attention_dropout", 0.1),
                },
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("intermediate_size", 3072),
                    "activation": config.activation("hidden_act", "gelu"),
                    "dropout": config.number("activation_dropout", 0.1),
                },
                "dropout": dropout,
            },
            "layer_drop": config.number("layerdrop", 0.1),
        },
        "head": _head(config),
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def _inputs(config: Config, eps: float) -> dict[str, Any]:
    channels = _sizes(config, "conv_dim", (512,) * 7)
    config.only("num_feat_extract_layers", len(channels), reason=" beside conv_dim")
    masks = config.boolean("apply_spec_augment", True)
    of_frames, of_features = config.number("mask_time_prob", 0.05), config.number("mask_feature_prob", 0.0)
    if masks and of_features and not of_frames:
        config.refuse("mask_feature_prob", "cannot be represented where mask_time_prob is 0")
    return {
        "type": "waveform_frames",
        "channels": channels,
        "kernels": _sizes(config, "conv_kernel", (10, 3, 3, 3, 3, 2, 2)),
        "strides": _sizes(config, "conv_stride", (5, 2, 2, 2, 2, 2, 2)),
        "conv_bias": config.boolean("conv_bias", False),
        "norm": config.text("feat_extract_norm", "group"),
        "eps": eps,
        "dropout": config.number("feat_proj_dropout", 0.0),
        "mask_probability": of_frames if masks else 0.0,
        "mask_length": config.integer("mask_time_length", 10),
        "min_masks": config.integer("mask_time_min_masks", 2),
        "feature_mask_probability": of_features if masks else 0.0,
        "feature_mask_length": config.integer("mask_feature_length", 10),
        "min_feature_masks": config.integer("mask_feature_min_masks", 0),
    }


def _sizes(config: Config, name: str, default: tuple[int, ...]) -> list[int]:
    sizes = config.value(name, default)
    if not isinstance(sizes, list | tuple):
        config.refuse(name, f"must be a list of numbers, one a convolution, got {sizes!r}")
    return list(sizes)


def _head(config: Config) -> dict[str, Any]:
    if config.architecture.endswith("Model"):
        return {"type": "none"}
    return {
        "type": "ctc",
        "vocab_size": config.integer("vocab_size", 32),
        "blank": config.integer("pad_token_id", 0),
        "dropout": config.number("final_dropout", 0.1),
    }


def to_config(spec: Any, *, stem: str) -> dict[str, Any]:
    """The model's spec -> a config; stem is what the classes begin with."""
    inputs, layers = spec.inputs, spec.encoder.each_layer()
    attention, ffn = layers[0].self_attention, layers[0].ffn
    config = {
        "architectures": [f"{stem}Model"],
        "hidden_size": spec.d_model,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "intermediate_size": ffn.d_ff,
        "hidden_act": activation_name(ffn.activation),
        "hidden_dropout": layers[0].dropout,
        "activation_dropout": ffn.dropout,
        "attention_dropout": attention.dropout,
        "feat_proj_dropout": inputs.dropout,
        "layerdrop": spec.encoder.layer_drop,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        "layer_norm_eps": layers[0].norm.eps,
        "feat_extract_norm": inputs.norm,
        "conv_dim": list(inputs.channels),
        "conv_kernel": list(inputs.kernels),
        "conv_stride": list(inputs.strides),
        "conv_bias": inputs.conv_bias,
        "num_conv_pos_embeddings": spec.position.kernel_size,
        "num_conv_pos_embedding_groups": spec.position.n_groups,
        "do_stable_layer_norm": layers[0].layout.type == "pre_norm",
        "mask_time_prob": inputs.mask_probability,
        "mask_time_length": inputs.mask_length,
        "mask_time_min_masks": inputs.min_masks,
        "mask_feature_prob": inputs.feature_mask_probability,
        "mask_feature_length": inputs.feature_mask_length,
        "mask_feature_min_masks": inputs.min_feature_masks,
    }
    if spec.head.type == "none":
        return config
    return {
        **config,
        "architectures": [f"{stem}ForCTC"],
        "vocab_size": spec.head.vocab_size,
        "pad_token_id": spec.head.blank,
        "final_dropout": spec.head.dropout,
    }


def _uniform(empty: Tensor) -> Tensor:
    return empty.uniform_(generator=torch.Generator().manual_seed(0))


_MASKED = Anew(_uniform, "uniform between 0 and 1, as transformers does; only training reads it")


def weights(spec: Any, *, prefix: str) -> Rules:
    """Which tensors are which; prefix stands before the names of a model with a head."""
    base = "" if spec.head.type == "none" else prefix
    convs, positions = f"{base}feature_extractor.conv_layers.{{i}}", f"{base}encoder.pos_conv_embed.conv"
    ours, theirs = "encoder.layers.{i}", f"{base}encoder.layers.{{i}}"
    attention, their_attention = f"{ours}.self_attention", f"{theirs}.attention"
    is_stable = spec.encoder.input_norm is None
    return [
        *for_each(
            "i",
            len(spec.inputs.channels),
            module("inputs.convs.{i}", f"{convs}.conv"),
            module("inputs.norms.{i}", f"{convs}.layer_norm"),
        ),
        *module("inputs.feature_norm", f"{base}feature_projection.layer_norm"),
        *module("inputs.projection", f"{base}feature_projection.projection"),
        *tensor("inputs.masked_frame", f"{base}masked_spec_embed", anew=_MASKED),
        *tensor("encoder.position.gain", f"{positions}.parametrizations.weight.original0"),
        *tensor("encoder.position.direction", f"{positions}.parametrizations.weight.original1"),
        *tensor("encoder.position.shift", f"{positions}.bias"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            module(f"{attention}.query", f"{their_attention}.q_proj"),
            module(f"{attention}.key", f"{their_attention}.k_proj"),
            module(f"{attention}.value", f"{their_attention}.v_proj"),
            module(f"{attention}.output", f"{their_attention}.out_proj"),
            module(f"{ours}.layout.norms.0", f"{theirs}.layer_norm"),
            module(f"{ours}.ffn.inner", f"{theirs}.feed_forward.intermediate_dense"),
            module(f"{ours}.ffn.outer", f"{theirs}.feed_forward.output_dense"),
            module(f"{ours}.layout.norms.1", f"{theirs}.final_layer_norm"),
        ),
        *module("encoder.final_norm" if is_stable else "encoder.input_norm", f"{base}encoder.layer_norm"),
        *module("head.output", "lm_head"),
    ]


def trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Waveforms, whose padding is zeros at their end: the reference takes any other for padding at the end."""
    kernels, strides = spec.inputs.kernels, spec.inputs.strides
    step, shortest = prod(strides), receptive_field(kernels, strides)
    lengths = [shortest + 7 * step + 1, shortest + 3 * step, shortest + 4 * step + 2]
    mask = padding_mask(lengths, padding)
    wave = torch.randn(mask.shape, generator=random).masked_fill(~mask, 0.0)
    ends = n_frames(mask.sum(1), kernels, strides)
    frames = torch.arange(int(ends.max())) < ends[:, None]
    return Trial((wave,), {"input_values": wave, "attention_mask": mask.long()}, {"mask": mask}, frames)


_SMALL = {
    "vocab_size": 17,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 19,
    "conv_dim": [5, 7],
    "conv_kernel": [5, 3],
    "conv_stride": [3, 2],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_length": 2,
}

PUBLISHED = {
    "activation_dropout": 0.1,
    "apply_spec_augment": True,
    "architectures": ["Wav2Vec2ForCTC"],
    "attention_dropout": 0.1,
    "bos_token_id": 1,
    "codevector_dim": 256,
    "contrastive_logits_temperature": 0.1,
    "conv_bias": False,
    "conv_dim": [512, 512, 512, 512, 512, 512, 512],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "ctc_loss_reduction": "sum",
    "ctc_zero_infinity": False,
    "diversity_loss_weight": 0.1,
    "do_stable_layer_norm": False,
    "eos_token_id": 2,
    "feat_extract_activation": "gelu",
    "feat_extract_dropout": 0.0,
    "feat_extract_norm": "group",
    "feat_proj_dropout": 0.1,
    "feat_quantizer_dropout": 0.0,
    "final_dropout": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout": 0.1,
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "layerdrop": 0.1,
    "mask_feature_length": 10,
    "mask_feature_prob": 0.0,
    "mask_time_length": 10,
    "mask_time_prob": 0.05,
    "num_attention_heads": 12,
    "num_codevector_groups": 2,
    "num_codevectors_per_group": 320,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128,
    "num_feat_extract_layers": 7,
    "num_hidden_layers": 12,
    "num_negatives": 100,
    "pad_token_id": 0,
    "proj_codevector_dim": 256,
    "transformers_version": "4.7.0.dev0",
    "vocab_size": 32,
}

# Of other heads, of training, and of old versions, which nothing reads.
_WITHOUT_EFFECT = (
    "adapter_kernel_size", "adapter_stride", "classifier_proj_size", "codevector_dim",
    "contrastive_logits_temperature", "ctc_loss_reduction", "ctc_zero_infinity", "diversity_loss_weight",
    "feat_extract_dropout", "feat_quantizer_dropout", "final_dropout", "freeze_feat_extract_train",
    "hidden_dropout_prob", "mask_channel_length", "mask_channel_min_space", "mask_channel_other",
    "mask_channel_prob", "mask_channel_selection", "mask_time_min_space", "mask_time_other",
    "mask_time_selection", "no_mask_channel_overlap", "no_mask_time_overlap", "num_adapter_layers",
    "num_codevector_groups", "num_codevectors_per_group", "num_negatives", "output_hidden_size",
    "proj_codevector_dim", "tdnn_dilation", "tdnn_dim", "tdnn_kernel", "use_weighted_layer_sum", "vocab_size",
    "xvector_output_dim",
)  # fmt: skip


def wav2vec2_family(name: str, stem: str, fixed: Mapping[str, Any], *published: Published) -> Family:
    """A family of wav2vec 2.0's code; stem is what its classes begin with."""
    base, prefix = f"{stem}Model", f"{name}."
    return Family(
        name=name,
        architectures=(f"{stem}ForCTC", base),
        to_spec=to_spec,
        to_config=partial(to_config, stem=stem),
        weights=partial(weights, prefix=prefix),
        fixed={"feat_extract_activation": "gelu", **fixed},
        bookkeeping=_WITHOUT_EFFECT,
        prefix=prefix,
        renamed=(  # torch's older weight norm
            (r"\.conv\.weight_g$", ".conv.parametrizations.weight.original0"),
            (r"\.conv\.weight_v$", ".conv.parametrizations.weight.original1"),
        ),
        ignored=(
            r"(^|\.)masked_spec_embed$",  # where nothing is masked, it is there and never read
            r"^(lm_head|project_hid|project_q|quantizer)\.",  # of other tasks, where the base model is asked for
        ),
        examples=(
            _SMALL,
            {
                **_SMALL,
                "num_hidden_layers": 3,
                "conv_dim": [5, 7, 6],
                "conv_kernel": [4, 3, 2],
                "conv_stride": [2, 1, 2],
                "conv_bias": True,
                "feat_extract_norm": "layer",
                "do_stable_layer_norm": True,
                "num_conv_pos_embeddings": 5,
                "pad_token_id": 3,
                "mask_feature_prob": 0.1,
                "mask_feature_length": 3,
                "feat_proj_dropout": 0.15,
                "final_dropout": 0.2,
                "layerdrop": 0.05,
            },
            {
                **_SMALL,
                "architectures": [base],
                "num_hidden_layers": 1,
                "mask_time_prob": 0.0,
                "hidden_act": "relu",
                "layer_norm_eps": 1e-3,
                "hidden_dropout": 0.2,
                "activation_dropout": 0.0,
                "attention_dropout": 0.3,
            },
            {**_SMALL, "architectures": [base], "num_hidden_layers": 1, "do_stable_layer_norm": True},
        ),
        published=published,
        trial=trial,
        paddings=("none", "right"),
    )


FAMILY = wav2vec2_family(
    "wav2vec2",
    "Wav2Vec2",
    {"adapter_attn_dim": None, "add_adapter": False},
    Published(preset="wav2vec2_base", source="huggingface.co/facebook/wav2vec2-base-960h", config=PUBLISHED),
    Published(
        preset="wav2vec2_large",
        source="huggingface.co/facebook/wav2vec2-large-960h-lv60-self",
        config={
            **PUBLISHED,
            "conv_bias": True,
            "do_stable_layer_norm": True,
            "feat_extract_norm": "layer",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
        },
    ),
)
