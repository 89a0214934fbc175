"""Marian beyond the shared certificate: its tables of sinusoids."""

import json

import pytest
import torch

pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianMTModel

from zoo.errors import DataError
from zoo.interop.hugging_face import export, from_hf, to_hf

SIZES = {
    "vocab_size": 31,
    "d_model": 12,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 29,
    "decoder_ffn_dim": 23,
    "max_position_embeddings": 1500,
    "pad_token_id": 30,
    "decoder_start_token_id": 30,
}
TABLE = "model.encoder.embed_positions.weight"


@pytest.fixture
def reference():
    torch.manual_seed(0)
    return MarianMTModel(MarianConfig(**SIZES)).eval()


def test_tables_are_those_of_transformers_to_the_last_position(reference, tmp_path):
    spec, model = from_hf(reference)
    theirs = reference.state_dict()[TABLE]
    export(spec, model, tmp_path / "exported")
    for ours in (
        load_file(tmp_path / "exported" / "model.safetensors")[TABLE],
        to_hf(spec, model).state_dict()[TABLE],
    ):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


def test_a_checkpoint_may_leave_the_tables_out_but_not_have_others(reference, tmp_path):
    reference.save_pretrained(tmp_path)  # leaves them out
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    assert TABLE not in tensors
    assert from_hf(tmp_path)[0].position.max_len == 1500
    save_file({**tensors, TABLE: reference.state_dict()[TABLE].flip(0).contiguous()}, file)
    with pytest.raises(DataError, match=f"'{TABLE}' should be a fixed table, and differs from it"):
        from_hf(tmp_path)


def test_checkpoints_that_hold_every_copy_of_the_shared_matrix_are_read_and_unequal_copies_refused(
    reference, tmp_path
):
    source, target = torch.randint(30, (2, 7)), torch.randint(30, (2, 5))
    expected = reference(input_ids=source, decoder_input_ids=target).logits
    tensors = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    assert {"lm_head.weight", "model.decoder.embed_tokens.weight", "model.shared.weight"} <= set(tensors)
    config = {**reference.config.to_dict(), "architectures": ["MarianMTModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(tensors, tmp_path / "model.safetensors")
    torch.testing.assert_close(from_hf(tmp_path)[1](source, target), expected, rtol=2e-5, atol=2e-5)
    tensors["model.decoder.embed_tokens.weight"][3, 4] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"'model.decoder.embed_tokens.weight' should be a copy"):
        from_hf(tmp_path)


def test_a_sequence_past_the_tables_end_is_refused_as_transformers_refuses_it(reference):
    _, model = from_hf(reference)
    source, target = torch.randint(30, (1, 1501)), torch.randint(30, (1, 2))
    with pytest.raises(IndexError):
        reference(input_ids=source, decoder_input_ids=target)
    with pytest.raises(ValueError, match=r"a sequence of 1501 tokens is longer than max_len \(1500\)"):
        model(source, target)
