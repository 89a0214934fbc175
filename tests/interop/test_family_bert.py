"""BERT, RoBERTa and Longformer beyond their certificates: checkpoints as published."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from safetensors.torch import save_file

from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf

BASES = {"bert": "BertModel", "roberta": "RobertaModel", "longformer": "LongformerModel"}


def random_model(name, architecture, *, seed=0, **fields):
    family = family_named(name)
    config = {**family.examples[0], "architectures": [architecture], **fields}
    return family, config, random_reference(family, config, seed=seed)


def test_berts_first_checkpoints_are_read(tmp_path):
    """gamma and beta for the norms, position ids as a tensor, the pooler and the next-sentence head beside it."""
    family, config, reference = random_model("bert", "BertForMaskedLM")
    tensors = {
        re.sub(r"Norm\.bias$", "Norm.beta", re.sub(r"Norm\.weight$", "Norm.gamma", name)): tensor.clone()
        for name, tensor in reference.state_dict().items()
        if not name.startswith("cls.predictions.decoder")
    }
    tensors["bert.embeddings.position_ids"] = torch.arange(17)[None]
    tensors["bert.pooler.dense.weight"] = torch.randn(12, 12)
    tensors["bert.pooler.dense.bias"] = torch.randn(12)
    tensors["cls.seq_relationship.weight"] = torch.randn(2, 12)
    tensors["cls.seq_relationship.bias"] = torch.randn(2)
    save_file(tensors, tmp_path / "model.safetensors")
    legacy = {
        "gradient_checkpointing": False,
        "position_embedding_type": "absolute",
        "directionality": "bidi",
    }
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **config, **legacy}))
    spec, model = from_hf(tmp_path)
    trial = family.trial(spec, "right", torch.Generator().manual_seed(1))
    expected = reference(**trial.theirs).logits[trial.real]
    assert_close(model(*trial.ours, **trial.ours_named)[trial.real], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", BASES)
def test_a_base_model_is_read_from_the_checkpoint_of_a_classifier(name, tmp_path):
    """The names then have a prefix; only BERT's classifier has the pooler of the base model."""
    stem = BASES[name].removesuffix("Model")
    _, _, reference = random_model(name, f"{stem}ForSequenceClassification")
    tensors = {
        key: tensor for key, tensor in reference.state_dict().items() if not key.startswith("classifier.")
    }
    if name != "bert":
        tensors[f"{name}.pooler.dense.weight"] = torch.randn(12, 12)
        tensors[f"{name}.pooler.dense.bias"] = torch.randn(12)
    reference.save_pretrained(tmp_path)
    save_file(tensors, tmp_path / "model.safetensors")
    _, model = from_hf(tmp_path, architecture=BASES[name])
    expected = tensors[f"{name}.pooler.dense.weight"]
    assert torch.equal(model.head.dense.weight, expected)
