"""wav2vec 2.0 beyond its certificate: names of its weight norm, masks, the loss, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from safetensors.torch import save_file

from registry import SpecError
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import spec_of

WAV2VEC = family_named("wav2vec2")
SMALL, LARGE = WAV2VEC.examples[:2]


def wave(n=40, rows=2):
    return torch.randn(rows, n, generator=torch.Generator().manual_seed(n))


def of_folder(folder, tensors, reference):
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    reference.config.architectures = [type(reference).__name__]
    reference.config.save_pretrained(folder)
    return from_hf(folder)[1]


def test_both_namings_of_the_weight_norm_load(tmp_path):
    reference = random_reference(WAV2VEC, SMALL, seed=3)
    live = reference.state_dict()
    of_pytorch_1 = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in live.items()
    }
    assert "wav2vec2.encoder.pos_conv_embed.conv.weight_g" in of_pytorch_1
    new = of_folder(tmp_path / "new", live, reference)
    old = of_folder(tmp_path / "old", of_pytorch_1, reference)
    theirs = reference(wave()).logits
    for model in (new, old):
        assert_close(model(wave()), theirs, rtol=0, atol=2e-5 * theirs.detach().abs().max().item())


@pytest.mark.parametrize("config", [SMALL, LARGE])
def test_without_any_mask_the_outputs_are_the_references(config):
    reference = random_reference(WAV2VEC, config, seed=4)
    theirs = reference(wave()).logits
    assert_close(
        from_hf(reference)[1](wave()), theirs, rtol=0, atol=2e-5 * theirs.detach().abs().max().item()
    )


@pytest.mark.parametrize("config", [SMALL, LARGE])
def test_the_loss_of_labels_is_the_references(config):
    reference = random_reference(WAV2VEC, config, seed=5)
    blank = reference.config.pad_token_id
    model = from_hf(reference)[1]
    lengths = torch.tensor([61, 40])
    mask = torch.arange(61) < lengths[:, None]
    given = wave(61).masked_fill(~mask, 0.0)
    labels = torch.tensor([[1, 2, 2, 5], [6, 1, -100, -100]])
    assert blank not in labels
    theirs = reference(given, attention_mask=mask.long(), labels=labels).loss
    hidden, frames = model.hidden(given, mask=mask)
    ours = model.head.loss(hidden, labels.clamp(min=0), mask=frames, label_mask=labels >= 0).loss
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_mask_vector_of_a_model_that_masks_nothing_is_left_behind():
    reference = random_reference(WAV2VEC, {**SMALL, "apply_spec_augment": False}, seed=6)
    assert hasattr(reference.wav2vec2, "masked_spec_embed")
    spec, model = from_hf(reference)
    assert spec.inputs.mask_probability == 0.0
    assert model.inputs.masked_frame is None
    assert_close(model(wave()), reference(wave()).logits, rtol=0, atol=1e-5)


def test_the_mask_vector_of_a_model_that_masks_is_kept():
    reference = random_reference(WAV2VEC, SMALL, seed=7)
    assert torch.equal(from_hf(reference)[1].inputs.masked_frame, reference.wav2vec2.masked_spec_embed)


def test_a_base_model_loads_from_its_own_checkpoint_and_from_that_of_pre_training(tmp_path):
    transformers = pytest.importorskip("transformers")
    reference = random_reference(WAV2VEC, {**SMALL, "architectures": ["Wav2Vec2Model"]}, seed=8)
    theirs = reference(wave()).last_hidden_state
    pre_trained = transformers.Wav2Vec2ForPreTraining(reference.config)
    pre_trained.wav2vec2.load_state_dict(reference.state_dict())
    pre_trained.save_pretrained(tmp_path)
    with pytest.raises(SpecError, match="'Wav2Vec2ForPreTraining' cannot be represented"):
        from_hf(tmp_path)
    _, other = from_hf(tmp_path, architecture="Wav2Vec2Model")
    for model in (from_hf(reference)[1], other):
        assert_close(model(wave()), theirs, rtol=0, atol=2e-5 * theirs.detach().abs().max().item())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("add_adapter", True, "only false can"),
        ("adapter_attn_dim", 16, "only null can"),
        ("feat_extract_activation", "relu", "only 'gelu' can"),
        ("feat_extract_norm", "batch", "norm"),
        ("conv_dim", 512, "must be a list of numbers"),
        ("conv_kernel", [5, 3, 2], "must have one number a convolution each"),
        ("num_feat_extract_layers", 7, "beside conv_dim; only 2 can"),
        ("num_conv_pos_embedding_groups", 5, r"n_groups \(5\) must divide d_model \(12\)"),
        ("conv_pos_batch_norm", True, "unknown to the wav2vec2 mapping"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_its_field(field, value, message):
    with pytest.raises(SpecError, match=message):
        spec_of(WAV2VEC, {"model_type": "wav2vec2", **SMALL, field: value})


def test_masked_features_without_masked_frames_are_refused():
    with pytest.raises(SpecError, match="mask_feature_prob: cannot be represented where mask_time_prob is 0"):
        spec_of(WAV2VEC, {"model_type": "wav2vec2", **SMALL, "mask_time_prob": 0.0, "mask_feature_prob": 0.1})


def test_the_config_of_a_multilingual_model_of_4_5_loads():
    """facebook/wav2vec2-large-xlsr-53 and its kin have fields that nothing ever read."""
    old = {
        "feat_extract_dropout": 0.0,
        "hidden_dropout_prob": 0.1,
        "mask_channel_length": 10,
        "mask_channel_min_space": 1,
        "mask_channel_other": 0.0,
        "mask_channel_prob": 0.0,
        "mask_channel_selection": "static",
        "mask_time_min_space": 1,
        "mask_time_other": 0.0,
        "mask_time_selection": "static",
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
        "gradient_checkpointing": True,
    }
    without = spec_of(WAV2VEC, {"model_type": "wav2vec2", **LARGE})
    assert spec_of(WAV2VEC, {"model_type": "wav2vec2", **LARGE, **old}) == without
