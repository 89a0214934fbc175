"""BART beyond the shared certificate: base checkpoints, and searches whose end transformers forces."""

import pytest
import torch

pytest.importorskip("transformers")

from transformers import BartConfig, BartForConditionalGeneration, BartModel, MarianConfig, MarianMTModel

from zoo.interop.hugging_face import export, from_hf, generation_of
from zoo.kinds import DECODING
from zoo.special_ids import SpecialIds

SIZES = {
    "vocab_size": 31,
    "d_model": 12,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 29,
    "decoder_ffn_dim": 23,
    "max_position_embeddings": 40,
    "init_std": 0.3,
}


def batch():
    return torch.randint(5, 31, (3, 7)), torch.randint(5, 31, (3, 5))


def test_the_authors_checkpoints_of_the_base_class_give_the_logits_that_transformers_makes_of_them(tmp_path):
    torch.manual_seed(0)
    BartModel(BartConfig(**SIZES)).save_pretrained(tmp_path / "base")
    reference = BartForConditionalGeneration.from_pretrained(tmp_path / "base").eval()
    source, target = batch()
    expected = reference(input_ids=source, decoder_input_ids=target).logits
    spec, model = from_hf(tmp_path / "base")
    assert spec.head.bias is False
    torch.testing.assert_close(model(source, target), expected, rtol=2e-5, atol=2e-5)

    assert export(spec, model, tmp_path / "exported") == "bart"
    again = BartModel.from_pretrained(tmp_path / "exported").eval()
    hidden = model.decode(target, model.encode(source))
    theirs = again(input_ids=source, decoder_input_ids=target).last_hidden_state
    torch.testing.assert_close(hidden, theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("config_class", "model_class"),
    [(BartConfig, BartForConditionalGeneration), (MarianConfig, MarianMTModel)],
)
def test_greedy_search_by_the_configs_ids_equals_one_whose_end_transformers_forces(config_class, model_class):
    torch.manual_seed(1)
    ids = {
        "pad_token_id": 1,
        "eos_token_id": 2,
        "forced_eos_token_id": 2,
        "decoder_start_token_id": 3,
        "bos_token_id": 0,
    }
    reference = model_class(config_class(**SIZES, **ids)).eval()
    spec, model = from_hf(reference)
    source, _ = batch()
    theirs = reference.generate(input_ids=source, max_new_tokens=9, num_beams=1, do_sample=False)
    found = generation_of(reference, spec)
    assert found.ids == SpecialIds(pad=1, start=3, end=2, never=())
    strategy = found.model_copy(update={"max_length": 8})
    ours = [outputs[0].tokens for outputs in DECODING.build(strategy)(model, source, None)]
    written = [row[1:].tolist() for row in theirs]
    assert ours == [row[: row.index(2)] for row in written]
    assert any(len(tokens) == 8 for tokens in ours)  # where the end was forced
