"""DeBERTa beyond its certificate: distances in every bucket, and the names of its two language heads."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf

DEBERTA = family_named("deberta-v2")
SMALL = DEBERTA.examples[0]


@pytest.mark.parametrize(("buckets", "span"), [(8, 40), (6, 300), (-1, 5)])
def test_distances_in_every_bucket_and_beyond_give_the_references_numbers(buckets, span):
    config = {**SMALL, "position_buckets": buckets, "max_relative_positions": span}
    reference = random_reference(DEBERTA, config, seed=1)
    _, model = from_hf(reference)
    tokens = torch.randint(1, 31, (3, 73))
    mask = torch.arange(73) < torch.tensor([[73], [17], [40]])
    theirs = reference(tokens, attention_mask=mask.long()).last_hidden_state
    assert_close(
        model(tokens, mask=mask)[mask], theirs[mask], rtol=0, atol=2e-5 * float(theirs.detach().abs().max())
    )


def test_either_language_head_is_one_spec_and_the_first_is_written():
    config = {**SMALL, "architectures": ["DebertaV2ForMaskedLM"]}
    older, oldest = (
        from_hf(random_reference(DEBERTA, {**config, "legacy": legacy}, seed=2)) for legacy in (True, False)
    )
    assert older[0] == oldest[0]
    assert "legacy" not in DEBERTA.to_config(older[0])


def test_a_checkpoint_of_the_training_gives_the_model_or_its_language_head(tmp_path):
    """As microsoft/deberta-v3-base: no architecture, names with the prefix, and two heads of the training beside."""
    from safetensors.torch import save_file

    config = {**SMALL, "architectures": ["DebertaV2ForMaskedLM"], "legacy": False}
    reference = random_reference(DEBERTA, config, seed=3)
    reference.config.architectures = None
    reference.save_pretrained(tmp_path)
    extra = {"mask_predictions.dense.weight": torch.randn(12, 12)}
    save_file(
        {name: t.clone() for name, t in reference.state_dict().items()} | extra,
        tmp_path / "model.safetensors",
    )
    (tmp_path / "config.json").write_text(
        (tmp_path / "config.json").read_text().replace('"DebertaV2ForMaskedLM"', "")
    )
    tokens = torch.randint(1, 31, (2, 7))
    spec, model = from_hf(tmp_path)
    assert spec.head.type == "none"
    hidden = reference.deberta(tokens).last_hidden_state
    assert_close(model(tokens), hidden, rtol=0, atol=2e-5 * float(hidden.detach().abs().max()))
    _, model = from_hf(tmp_path, architecture="DebertaV2ForMaskedLM")
    logits = reference(tokens).logits
    assert_close(model(tokens), logits, rtol=0, atol=2e-5 * float(logits.detach().abs().max()))
