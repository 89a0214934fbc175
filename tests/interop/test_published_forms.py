"""Folders in the forms in which hubs publish them: what is missing, over, rounded or named otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

pytest.importorskip("transformers")

import transformers
from safetensors.torch import load_file, save_file

from registry import SpecError
from zoo.errors import DataError
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export, from_hf, to_hf

CLOSE = {"rtol": 2e-5, "atol": 2e-5}
BERT = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
}
TOKENS = torch.tensor([[5, 7, 30, 9, 11], [8, 6, 13, 21, 3]])


def saved(
    reference: Any, folder: Path, edit: Callable[[dict[str, Tensor]], object] = dict, **fields: Any
) -> Path:
    """The reference's folder, its tensors edited and its config's fields changed; None takes a field out."""
    reference.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")
    config = {**json.loads((folder / "config.json").read_text()), **fields}
    kept = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def renew(reference: Any) -> Any:
    torch.manual_seed(0)
    for parameter in reference.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    return reference.eval()


def read(folder: Path, **settings: Any) -> tuple[Any, Any, list[str]]:
    lines: list[str] = []
    spec, model = from_hf(folder, say=lines.append, **settings)
    return spec, model, lines


def test_wav2vec2_without_its_masked_frame_has_one_made_as_the_reference_makes_it(tmp_path: Path) -> None:
    family = family_named("wav2vec2")
    reference = random_reference(family, {**family.examples[0], "hidden_size": 48}, seed=0)
    name = "wav2vec2.masked_spec_embed"
    folder = saved(reference, tmp_path / "base-960h", lambda tensors: tensors.pop(name))
    _, model, lines = read(folder)
    wave = torch.randn(2, 90)
    assert_close(model(wave), reference(wave).logits, **CLOSE)
    assert lines == [
        f"{folder}: {name!r} is missing and made anew: uniform between 0 and 1, as transformers does; "
        "only training reads it"
    ]
    frame = model.inputs.masked_frame
    assert frame.requires_grad
    assert 0 <= frame.min() < 0.2
    assert 0.8 < frame.max() < 1
    assert torch.equal(read(folder)[1].inputs.masked_frame, frame)  # read twice, the folder is one model
    theirs = type(reference).from_pretrained(folder).wav2vec2.masked_spec_embed
    assert 0 <= theirs.min() < 0.2 < 0.8 < theirs.max() < 1
    with pytest.raises(DataError, match=r"missing for a model of this config: 'lm_head\.bias'"):
        read(saved(reference, tmp_path / "spoilt", lambda tensors: tensors.pop("lm_head.bias")))


@pytest.mark.parametrize("name", ["bart", "marian"])
def test_a_missing_bias_of_the_logits_is_zeros_as_in_the_reference(name: str, tmp_path: Path) -> None:
    family = family_named(name)
    reference = random_reference(family, family.examples[0], seed=0)
    folder = saved(reference, tmp_path / "x", lambda tensors: tensors.pop("final_logits_bias"))
    _, model, lines = read(folder)
    theirs = type(reference).from_pretrained(folder).eval()
    expected = theirs(input_ids=TOKENS, decoder_input_ids=TOKENS[:, :3]).logits
    assert_close(model(TOKENS, TOKENS[:, :3]), expected, **CLOSE)
    assert lines == [f"{folder}: 'final_logits_bias' is missing and made anew: zeros, as transformers does"]


DEBERTA = family_named("deberta-v2")


def deberta(folder: Path, **extra: Tensor) -> tuple[Any, Path]:
    reference = random_reference(DEBERTA, DEBERTA.examples[0], seed=0)
    return reference, saved(reference, folder, lambda tensors: tensors.update(extra))


def test_deberta_with_tensors_that_no_code_reads(tmp_path: Path) -> None:
    extra = {
        "deberta.embeddings.word_embeddings._weight": torch.randn(31, 12),
        "deberta.embeddings.position_embeddings.weight": torch.randn(512, 12),
    }
    reference, folder = deberta(tmp_path / "base", **extra)
    _, model, lines = read(folder)
    assert_close(model(TOKENS), reference(TOKENS).last_hidden_state, **CLOSE)
    assert lines == []


def test_tensors_are_left_out_by_patterns_and_named(tmp_path: Path) -> None:
    extra = {
        "qa_outputs.weight": torch.randn(2, 12),
        "qa_outputs.bias": torch.randn(2),
        "logit_scale": torch.ones(1),
    }
    reference, folder = deberta(tmp_path / "base", **extra)
    with pytest.raises(DataError, match=r"'logit_scale', 'qa_outputs.bias', 'qa_outputs.weight'; if they mean nothing"
                       r".* \(--ignore-tensor logit_scale --ignore-tensor 'qa_outputs\.\*'\)"):  # fmt: skip
        read(folder)
    _, model, lines = read(folder, ignore_tensors=["qa_outputs.*", "logit_scal?"])
    assert_close(model(TOKENS), reference(TOKENS).last_hidden_state, **CLOSE)
    assert lines == [f"{folder}: left out, as asked for: logit_scale, qa_outputs.bias, qa_outputs.weight"]
    with pytest.raises(DataError, match="no part of a model of this config: 'logit_scale'"):
        read(folder, ignore_tensors=["qa_outputs.*"])


@pytest.mark.parametrize("pattern", ["qa_output.*", "encoder.*"])
def test_a_pattern_that_names_no_tensor_or_only_those_of_the_model_is_refused(
    pattern: str, tmp_path: Path
) -> None:
    _, folder = deberta(tmp_path / "base", logit_scale=torch.ones(1))
    with pytest.raises(DataError, match="no tensor beside the model's own is called so"):
        read(folder, ignore_tensors=["logit_scale", pattern])


def test_bert_for_pre_training_is_its_masked_language_model(tmp_path: Path) -> None:
    reference = renew(transformers.BertForPreTraining(transformers.BertConfig(**BERT)))
    _, model, lines = read(saved(reference, tmp_path / "x"))
    assert_close(model(TOKENS), reference(TOKENS).prediction_logits, **CLOSE)
    assert lines == [f"{tmp_path / 'x' / 'config.json'}: BertForPreTraining is read as BertForMaskedLM"]


def test_an_older_name_of_a_class_is_that_class(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=31, d_model=12, d_kv=5, d_ff=29, num_layers=1, num_heads=3)
    reference = renew(transformers.T5ForConditionalGeneration(config))
    _, model, _ = read(saved(reference, tmp_path / "x", architectures=["T5WithLMHeadModel"]))
    expected = reference(input_ids=TOKENS, decoder_input_ids=TOKENS[:, :3]).logits
    assert_close(model(TOKENS, TOKENS[:, :3]), expected, **CLOSE)


@pytest.mark.parametrize("stem", ["Bert", "Roberta", "Longformer"])
def test_a_base_model_saved_without_its_pooler_is_read_and_written(stem: str, tmp_path: Path) -> None:
    config = {**BERT, "attention_window": 4} if stem == "Longformer" else BERT
    bare = renew(
        getattr(transformers, f"{stem}Model")(
            getattr(transformers, f"{stem}Config")(**config, pad_token_id=1), add_pooling_layer=False
        )
    )
    spec, model, _ = read(saved(bare, tmp_path / "x"))
    assert spec.head.type == "none"
    expected = bare(TOKENS).last_hidden_state
    assert_close(model(TOKENS), expected, **CLOSE)
    assert_close(to_hf(spec, model)(TOKENS).last_hidden_state, expected, **CLOSE)
    export(spec, model, tmp_path / "back")
    assert load_file(tmp_path / "back" / "model.safetensors").keys() == bare.state_dict().keys() - {
        "embeddings.position_ids",
        "embeddings.token_type_ids",
    }
    assert read(tmp_path / "back")[0] == spec


@pytest.mark.parametrize("stem", ["Bert", "Distilbert"])
def test_a_config_without_model_type_and_architectures_needs_the_class_named(
    stem: str, tmp_path: Path
) -> None:
    name = {"Bert": "BertModel", "Distilbert": "DistilBertModel"}[stem]
    class_ = getattr(transformers, name)
    config = (
        BERT
        if stem == "Bert"
        else {"vocab_size": 31, "dim": 12, "n_layers": 1, "n_heads": 3, "hidden_dim": 19}
    )
    reference = renew(class_(class_.config_class(**config)))
    folder = saved(reference, tmp_path / "x", model_type=None, architectures=None)
    with pytest.raises(
        SpecError, match=r"model_type: it is missing; say which class .* by --architecture, such as"
    ):
        read(folder)
    spec, model, _ = read(folder, architecture=name)
    ours = model.encode(TOKENS) if hasattr(model, "encode") and spec.head.type != "none" else model(TOKENS)
    assert_close(ours, reference(TOKENS).last_hidden_state, **CLOSE)
    with pytest.raises(SpecError, match="no family has the class 'XModel'; say which class"):
        read(folder, architecture="XModel")


def test_a_class_without_a_mapping_is_refused_with_the_flag_that_names_another(tmp_path: Path) -> None:
    reference = renew(transformers.BertForQuestionAnswering(transformers.BertConfig(**BERT)))
    folder = saved(reference, tmp_path / "x")
    with pytest.raises(SpecError, match=r"to read the folder as one of these, name it by --architecture"):
        read(folder)
    _, model, lines = read(folder, architecture="BertModel", ignore_tensors=["qa_outputs.*"])
    expected = reference.bert(TOKENS).last_hidden_state
    assert_close(model(TOKENS), expected, **CLOSE)
    assert lines == [f"{folder}: left out, as asked for: qa_outputs.bias, qa_outputs.weight"]


HARMLESS = {
    "_model_name_or_path": "bert-base-uncased",
    "_name_or_path": "x",
    "custom_pipelines": {"a": {"impl": "b.C"}},
    "eos_token_ids": 0,
    "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
    "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "4.1.0"},
    "unsloth_fixed": True,
    "max_new_tokens": 7,
    "renormalize_logits": True,
}


@pytest.mark.parametrize("name", ["bert", "marian", "llama", "wav2vec2"])
def test_fields_that_change_nothing_need_no_flag(name: str, tmp_path: Path) -> None:
    family = family_named(name)
    reference = random_reference(family, family.examples[0], seed=0)
    spec = read(saved(reference, tmp_path / "plain"))[0]
    assert read(saved(reference, tmp_path / "full", **HARMLESS))[0] == spec


@pytest.mark.parametrize("name", ["bart", "marian"])
def test_another_order_of_norms_is_refused_and_the_usual_one_is_not(name: str, tmp_path: Path) -> None:
    family = family_named(name)
    reference = random_reference(family, family.examples[0], seed=0)
    folder = saved(reference, tmp_path / "x", do_blenderbot_90_layernorm=False)
    assert read(folder)[2] == []
    with pytest.raises(
        SpecError, match="do_blenderbot_90_layernorm: true cannot be represented; only false can"
    ):
        read(saved(reference, tmp_path / "y", do_blenderbot_90_layernorm=True))


def test_an_unknown_field_is_refused_with_the_flag_that_ignores_it(tmp_path: Path) -> None:
    reference = renew(transformers.BertModel(transformers.BertConfig(**BERT)))
    folder = saved(reference, tmp_path / "x", mystery=3, auto_map={"AutoModel": "a.B"})
    with pytest.raises(SpecError) as error:
        read(folder)
    assert (
        "mystery: unknown to the bert mapping (3); if it changes nothing, ignore it by name (--ignore mystery)"
        in (str(error.value))
    )
    assert "ignore this field (--ignore auto_map)" in str(error.value)
    read(folder, ignore=["mystery", "auto_map"])


LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 70.0}


@pytest.mark.parametrize(
    "scaling", [LINEAR, {"type": "linear", "factor": 2.0, "rope_theta": 70.0}, {**LINEAR, "type": "linear"}]
)
def test_rotary_positions_said_twice_alike_are_one(scaling: dict[str, Any], tmp_path: Path) -> None:
    config = transformers.LlamaConfig(
        vocab_size=31,
        hidden_size=12,
        intermediate_size=19,
        num_hidden_layers=1,
        num_attention_heads=3,
        rope_parameters=dict(LINEAR),
    )
    reference = renew(transformers.LlamaForCausalLM(config))
    spec = read(saved(reference, tmp_path / "one"))[0]
    folder = saved(reference, tmp_path / "two", rope_scaling=scaling)
    twice, model, _ = read(folder)
    assert twice == spec
    assert_close(model(TOKENS), reference(TOKENS).logits, **CLOSE)
    with pytest.raises(
        SpecError, match="rope_scaling: it stands beside rope_parameters, which says something else"
    ):
        read(saved(reference, tmp_path / "other", rope_scaling={**scaling, "factor": 3.0}))


def test_as_many_classes_as_num_labels_says_where_the_names_are_fewer(tmp_path: Path) -> None:
    config = transformers.BertConfig(**BERT, num_labels=50)
    reference = renew(transformers.BertForSequenceClassification(config))
    labels = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    folder = saved(reference, tmp_path / "x", num_labels=50, **labels)
    spec, model, _ = read(folder)
    assert spec.head.n_classes == transformers.AutoConfig.from_pretrained(folder).num_labels == 50
    assert_close(model(TOKENS), reference(TOKENS).logits, **CLOSE)
