"""No field of a config goes unnoticed."""

from __future__ import annotations

from typing import Any

import pytest

from registry import SpecError
from zoo.interop.config import ACTIVATIONS, Config, activation_name
from zoo.interop.family import Family, family_named, family_names
from zoo.interop.matching import spec_of

LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}


def refused(name: str, fields: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(SpecError) as error:
        spec_of(family_named(name), {"model_type": name, **fields}, **settings)
    return str(error.value)


@pytest.mark.parametrize("name", family_names())
def test_an_unknown_field_is_refused_by_name_unless_it_is_to_be_ignored(name: str) -> None:
    family = family_named(name)
    config = {"model_type": family.name, "foo": 3}
    with pytest.raises(SpecError, match=rf"config\.json: foo: unknown to the {family.name} mapping \(3\)"):
        spec_of(family, config)
    assert spec_of(family, config, ignore=("foo",)) == spec_of(family, {"model_type": family.name})


@pytest.mark.parametrize("name", family_names())
@pytest.mark.parametrize(
    "fields",
    [{"is_decoder": True}, {"quantization_config": {"bits": 4}}, {"pruned_heads": {"0": [1]}}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_would_change_any_model_is_refused(name: str, fields: dict[str, Any]) -> None:
    family = family_named(name)
    with pytest.raises(SpecError, match=f"config.json: {next(iter(fields))}: "):
        spec_of(family, {"model_type": family.name, **fields})


def test_a_folder_with_code_of_its_own_is_refused() -> None:
    said = refused("gpt2", {"auto_map": {"AutoModel": "modeling.Mine"}})
    assert "config.json: auto_map: the folder brings code of its own, and none is executed" in said


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "gpt2",
            {
                "n_special": 0,
                "predict_special_tokens": True,
                "_num_labels": 1,
                "output_past": True,
                "n_ctx": 1024,
            },
        ),
        ("llama", {"max_sequence_length": 2048, "pretraining_tp": 2, "rope_scaling": None, "head_dim": 128}),
        (
            "llama",
            {"is_llama_config": True, "rope_interleaved": False, "transformers.js_config": {"dtype": "q4"}},
        ),
        ("mistral", {"head_dim": 128, "attention_dropout": 0.0, "rope_scaling": {}, "rope_theta": 10000}),
        ("qwen2", {"use_mrope": False, "sliding_window": None, "rope_scaling": None}),
    ],
)
def test_fields_of_published_configs_that_change_nothing_are_read(name: str, fields: dict[str, Any]) -> None:
    family = family_named(name)
    given = {"model_type": name, **fields}
    if name == "mistral":
        given["sliding_window"] = 4096
    assert spec_of(family, given) == spec_of(family, {"model_type": name})


def test_several_reasons_are_all_named() -> None:
    said = refused("gpt2", {"foo": 1, "reorder_and_upcast_attn": True, "is_decoder": True})
    assert len(said.splitlines()) == 3
    assert "reorder_and_upcast_attn: true cannot be represented; only false can" in said
    # values that cannot be read as well, in whose place the default is read on
    fields = {"n_embd": "big", "n_layer": 0, "activation_function": "gelou", "n_ctx": 5, "colour": "red"}
    assert [line.split(": ")[1] for line in refused("gpt2", fields).splitlines()] == sorted(fields)
    assert len(refused("llama", {"num_attention_heads": 0, "hidden_size": "big"}).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("gpt2", {"n_embd": "768"}, "config.json: n_embd: must be an integer, got '768'"),
        ("gpt2", {"n_embd": True}, "config.json: n_embd: must be an integer, got true"),
        ("gpt2", {"n_embd": None}, "config.json: n_embd: must be an integer, got null"),
        ("gpt2", {"n_embd": 10}, "n_heads (12) must divide d_model (10)"),
        ("llama", {"num_attention_heads": 0}, "config.json: its values fit no llama model (a size that others are"),
        ("gpt2", {"n_layer": 10**9}, "config.json: n_layer: must be between 1 and 1000 layers, got 1000000000"),
        ("gpt2", {"vocab_size": 10**12}, "model.tokens.vocab_size: what the config gives is refused: must be at most"),
        ("gpt2", {"attn_pdrop": "no"}, "config.json: attn_pdrop: must be a number, got 'no'"),
        ("gpt2", {"n_ctx": 5}, "config.json: n_ctx: 5 cannot be represented beside n_positions; only 1024 can"),
        ("gpt2", {"activation_function": "gelu_nwe"}, "the activation 'gelu_nwe' cannot be represented; did you mean"),
        ("gpt2", {"architectures": ["GPT2Foo"]}, "architectures: 'GPT2Foo' cannot be represented (known for gpt2: "),
        ("mixtral", {"router_jitter_noise": 0.1}, "router_jitter_noise: 0.1 cannot be represented; only 0.0 can"),
        ("qwen2", {"layer_types": ["full_attention"]}, "layer_types: it must say full_attention or sliding_attention"),
        (
            "qwen2",
            {"layer_types": ["sliding_attention"], "num_hidden_layers": 1},
            "layer_types: it says sliding_attention, but sliding_window and use_sliding_window say none",
        ),
        ("llama", {"rope_scaling": {"rope_type": "proportional"}}, "rope_scaling.rope_type: 'proportional' cannot be"),
        ("llama", {"rope_scaling": {"type": "mrope"}}, "rope_scaling.type: 'mrope' cannot be represented; known: defa"),
        ("llama", {"rope_scaling": {"type": "su"}}, "rope_scaling.short_factor: must be a list of numbers, got null"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "rope_scaling.factor: this field is missing"),
        ("llama", {"rope_scaling": {**LLAMA3, "foo": 1}}, "rope_scaling.foo: unknown to the llama mapping (1)"),
        ("llama", {"rope_scaling": {**LLAMA3, "type": "linear"}}, "rope_scaling.type: 'linear' cannot be"),
        ("llama", {"rope_scaling": 3}, "rope_scaling: must be a mapping, got 3"),
        (
            "llama",
            {"rope_scaling": LLAMA3, "rope_parameters": {"rope_type": "default"}},
            "rope_scaling: it stands beside rope_parameters, which says something else",
        ),
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}},
            "rope_parameters.partial_rotary_factor: 0.5 cannot be represented where 1 of a head turns",
        ),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_represented_is_named(name: str, fields: dict[str, Any], said: str) -> None:
    assert said in refused(name, fields)


def test_an_older_and_a_newer_way_to_say_rotary_positions_are_one() -> None:
    family = family_named("llama")
    old = {"rope_theta": 500.0, "rope_scaling": LLAMA3}
    new = {"rope_parameters": {**LLAMA3, "rope_theta": 500.0}}
    assert spec_of(family, {"model_type": "llama", **old}) == spec_of(family, {"model_type": "llama", **new})
    assert spec_of(family, {"model_type": "llama", **old}).position.scaling.factor == 8.0


def test_a_padding_id_counted_from_the_end_is_found() -> None:
    spec = spec_of(family_named("llama"), {"model_type": "llama", "pad_token_id": -1, "vocab_size": 31})
    assert spec.tokens.padding_id == 30


def test_labels_are_counted_by_their_number_and_else_by_their_names() -> None:
    assert Config({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 50}).n_labels() == 50
    assert Config({"id2label": {"0": "a", "1": "b", "2": "c"}}).n_labels() == 3
    assert Config({"num_labels": 5}).n_labels() == 5
    assert Config({}).n_labels() == 2


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS.values())))
def test_an_activation_is_written_by_a_name_that_is_read_as_the_same(name: str) -> None:
    assert ACTIVATIONS[activation_name(name)] == name


def test_a_model_type_without_a_mapping_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"there is no mapping for 'gpt22'; did you mean 'gpt2'\?"):
        family_named("gpt22")
    with pytest.raises(SpecError, match="here: model_type: no model type is given; known: "):
        family_named(None, "here")


@pytest.mark.parametrize("name", family_names())
def test_a_familys_examples_have_different_sizes(name: str) -> None:
    family: Family = family_named(name)
    assert len({str(example) for example in family.examples}) == len(family.examples) >= 2
