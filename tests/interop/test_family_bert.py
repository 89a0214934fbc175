"""BERT, RoBERTa and Longformer beyond their certificates: models with a pooler, and checkpoints as published."""

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
from zoo.interop.hugging_face import export, from_hf, to_hf

BASES = {"bert": "BertModel", "roberta": "RobertaModel", "longformer": "LongformerModel"}


def random_model(name, architecture, *, seed=0, **fields):
    family = family_named(name)
    config = {**family.examples[0], "architectures": [architecture], **fields}
    return family, config, random_reference(family, config, seed=seed)


@pytest.mark.parametrize("padding", ["none", "left", "right"])
@pytest.mark.parametrize("name", BASES)
def test_a_base_model_gives_the_references_pooled_vector_and_gradients(name, padding, tmp_path):
    family, _, reference = random_model(name, BASES[name])
    spec, model = from_hf(reference)
    trial = family.trial(spec, padding, torch.Generator().manual_seed(1))
    theirs = reference(**trial.theirs)
    pooled = theirs.pooler_output[trial.real]
    assert len(pooled) == (1 if padding == "left" else 3)
    hidden, expected = model.encode(*trial.ours, **trial.ours_named), theirs.last_hidden_state
    mask = trial.ours_named["mask"]
    assert_close(hidden[mask], expected[mask], rtol=0, atol=2e-5 * float(expected.detach().abs().max()))
    ours = model(*trial.ours, **trial.ours_named)[trial.real]
    assert_close(ours, pooled, rtol=0, atol=2e-5)
    direction = torch.randn_like(pooled)
    (ours * direction).sum().backward()
    (pooled * direction).sum().backward()
    for mine, its in [
        ("head.dense.weight", "pooler.dense.weight"),
        ("inputs.weight", "embeddings.word_embeddings.weight"),
        ("inputs.types.weight", "embeddings.token_type_embeddings.weight"),
        ("encoder.position.table.weight", "embeddings.position_embeddings.weight"),
        ("encoder.layers.0.self_attention.query.weight", "encoder.layer.0.attention.self.query.weight"),
        ("encoder.layers.1.ffn.outer.bias", "encoder.layer.1.output.dense.bias"),
    ]:
        gradient = reference.get_parameter(its).grad
        assert_close(
            model.get_parameter(mine).grad, gradient, rtol=0, atol=1e-4 * float(gradient.abs().max())
        )
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in reference.parameters())

    export(spec, model, tmp_path / "out")
    again, twin = from_hf(tmp_path / "out")
    assert again == spec
    assert all(torch.equal(tensor, twin.state_dict()[key]) for key, tensor in model.state_dict().items())
    for other in (to_hf(spec, model), type(reference).from_pretrained(tmp_path / "out")):
        assert_close(other.eval()(**trial.theirs).pooler_output[trial.real], pooled, rtol=0, atol=2e-5)


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
