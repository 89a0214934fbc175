"""from_hf and to_hf: exact, independent copies, and refusals that name what is in the way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from registry import SpecError, dump, parse
from zoo.assembly.build import build
from zoo.assembly.merging import merged
from zoo.errors import DataError
from zoo.interop.canonical import canonical
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export, from_hf, generation_of, to_hf
from zoo.interop.matching import config_of, spec_of
from zoo.kinds import MODEL
from zoo.storage.tensors import stored_tensors

pytest.importorskip("transformers")

SIZES = {"vocab_size": 31, "n_positions": 17, "n_embd": 12, "n_head": 3, "n_layer": 2, "n_inner": 29}


def gpt2(**fields: Any) -> Any:
    return spec_of(family_named("gpt2"), {"model_type": "gpt2", **SIZES, **fields})


def changed(spec: Any, **changes: Any) -> Any:
    return parse(MODEL.entry(spec.type).spec, merged(dump(spec), changes), path="model")


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any, Any]:
    """A model of transformers, and the spec and the model that it gives. Not to be changed."""
    reference = random_reference(family_named("gpt2"), SIZES, seed=3)
    return reference, *from_hf(reference)


def test_weights_are_copies_in_both_directions(pair: tuple[Any, Any, Any]) -> None:
    reference, spec, model = pair
    back = to_hf(spec, model)
    addresses = [{p.data_ptr() for p in each.parameters()} for each in (reference, model, back)]
    assert not addresses[0] & addresses[1]
    assert not addresses[1] & addresses[2]
    for (name, theirs), (other, again) in zip(
        reference.named_parameters(), back.named_parameters(), strict=True
    ):
        assert name == other
        assert torch.equal(theirs, again)


def test_models_come_in_eval_mode_with_gradients_wanted(pair: tuple[Any, Any, Any]) -> None:
    _, spec, model = pair
    back = to_hf(spec, model)
    assert not model.training
    assert not back.training
    assert all(parameter.requires_grad for each in (model, back) for parameter in each.parameters())


def test_a_tie_survives_both_ways(pair: tuple[Any, Any, Any]) -> None:
    _, spec, model = pair
    assert model.head.weight is model.tokens.weight
    back = to_hf(spec, model)
    assert back.lm_head.weight is back.transformer.wte.weight


def test_the_dtype_is_kept_or_converted(pair: tuple[Any, Any, Any]) -> None:
    reference, spec, model = pair
    half = from_hf(reference, dtype=torch.bfloat16)[1]
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in to_hf(spec, half).parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_dropout_goes_along_both_ways() -> None:
    spec = gpt2(attn_pdrop=0.2, resid_pdrop=0.3, embd_pdrop=0.4)
    layer = spec.decoder.each_layer()[0]
    assert (layer.self_attention.dropout, layer.dropout, spec.decoder.input_dropout) == (0.2, 0.3, 0.4)
    config = to_hf(spec, build(spec)).config
    assert (config.attn_pdrop, config.resid_pdrop, config.embd_pdrop) == (0.2, 0.3, 0.4)


def test_a_model_trained_differently_or_computed_by_another_kernel_is_the_same_model() -> None:
    layer = {"self_attention": {"kernel": "eager"}}
    spec = changed(gpt2(), initialization={"type": "tensor2tensor"}, decoder={"layer": layer})
    assert config_of(spec)[0].name == "gpt2"


def test_layers_written_in_groups_are_the_same_layers() -> None:
    spec = gpt2()
    data = dump(spec)
    layer = data["decoder"].pop("layer")
    data["decoder"] |= {"n_layers": None, "layers": [{"layer": layer}, {"layer": layer, "repeat": 1}]}
    grouped: Any = parse(MODEL.entry("decoder_only").spec, data, path="model")
    assert grouped != spec
    assert canonical(grouped) == canonical(spec)
    assert config_of(grouped)[1] == config_of(spec)[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"decoder": {"layer": {"norm": {"type": "rms_norm"}, "attention_norm": {"type": "layer_norm"}}}},
            "model.decoder.layers.0.norm.type is 'rms_norm', and a config of it gives 'layer_norm' (in all 2 layers); "
            "model.decoder.final_norm.eps is 1e-05, and a config of it gives 1e-06",
        ),
        (
            {"decoder": {"layer": {"self_attention": {"n_kv_heads": 1}}}},
            "model.decoder.layers.0.self_attention.n_kv_heads is 1, and a config of it gives 3 (in all 2 layers)",
        ),
        (
            {"decoder": {"layer": {"self_attention": {"dropout": 0.7}}, "input_norm": "layer_norm"}},
            "model.decoder.input_norm is layer_norm, and a config of it gives null",
        ),
        (
            {"decoder": {"layer": {"self_attention": {"scale": 0.123}}}},
            "model.decoder.layers.0.self_attention.scale is 0.123, and a config of it gives 0.5 (in all 2 layers)",
        ),
        (
            {"tokens": {"scale": "sqrt_d_model"}},
            "model.tokens.scale is 'sqrt_d_model', and a config of it gives 'none'",
        ),
        ({"head": {"bias": True}}, "model.head.bias is True, and a config of it gives False"),
        ({"position": {"offset": 2}}, "model.decoder.position.offset is 2, and a config of it gives 0"),
    ],
)  # fmt: skip
def test_what_no_config_says_is_refused_with_every_key(changes: dict[str, Any], said: str) -> None:
    spec = changed(gpt2(), **changes)
    with pytest.raises(SpecError) as error:
        config_of(spec, "gpt2")
    assert str(error.value) == (
        f"model: no config of transformers says this model exactly; the gpt2 mapping cannot write it: {said}"
    )


def test_without_a_name_the_nearest_family_is_named() -> None:
    spec = changed(gpt2(), head={"bias": True})
    with pytest.raises(SpecError, match=r"the nearest family is gpt2: model\.head\.bias is True"):
        config_of(spec)


def test_layers_that_differ_where_no_config_lets_them_are_refused() -> None:
    layers = [{"layer": {"ffn": {"d_ff": 29}}}, {"layer": {"ffn": {"d_ff": 30}}}]
    data = dump(gpt2())
    data["decoder"] |= {"n_layers": None, "layers": layers}
    spec = parse(MODEL.entry("decoder_only").spec, data, path="model")
    with pytest.raises(
        SpecError, match=r"model\.decoder\.layers\.1\.ffn\.d_ff is 30, and a config of it gives 29"
    ):
        config_of(spec, "gpt2")


def test_of_several_families_that_can_hold_a_model_the_one_named_is_taken() -> None:
    sizes = {
        "vocab_size": 31,
        "hidden_size": 12,
        "intermediate_size": 19,
        "num_attention_heads": 3,
        "num_hidden_layers": 1,
    }
    spec = spec_of(
        family_named("mistral"),
        {"model_type": "mistral", **sizes, "num_key_value_heads": 3, "sliding_window": None},
    )
    assert config_of(spec)[0].name == "llama"
    assert config_of(spec, "mistral")[1]["sliding_window"] is None
    assert type(to_hf(spec, build(spec), family="mistral")).__name__ == "MistralForCausalLM"


def test_fields_that_change_nothing_may_be_added_and_no_others(
    pair: tuple[Any, Any, Any], tmp_path: Any
) -> None:
    _, spec, model = pair
    config = to_hf(spec, model, fields={"eos_token_id": 7, "id2label": {0: "a", 1: "b", 2: "c"}}).config
    assert config.eos_token_id == 7
    assert config.num_labels == 3
    with pytest.raises(
        SpecError, match="fields: these change what the model computes: n_head; change the spec instead"
    ):
        export(spec, model, tmp_path / "out", fields={"n_head": 4})
    with pytest.raises(SpecError, match="fields: foo: unknown to the gpt2 mapping"):
        export(spec, model, tmp_path / "out", fields={"foo": 4})


def test_a_model_that_is_none_of_transformers_is_refused() -> None:
    with pytest.raises(ValueError, match="a folder or a live model of transformers is needed, not a Linear"):
        from_hf(torch.nn.Linear(2, 3))


def test_a_live_model_of_a_class_without_a_mapping_is_refused() -> None:
    import transformers

    model = transformers.GPT2DoubleHeadsModel(
        transformers.GPT2Config(**SIZES, bos_token_id=1, eos_token_id=2)
    )
    with pytest.raises(
        SpecError, match=r"GPT2DoubleHeadsModel\.config: architectures: 'GPT2DoubleHeadsModel' cannot"
    ):
        from_hf(model)


def test_a_model_without_a_head_has_names_without_prefix_and_writes_nothing(tmp_path: Any) -> None:
    sizes = {
        "vocab_size": 31,
        "hidden_size": 12,
        "intermediate_size": 19,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
    }
    reference = random_reference(family_named("llama"), {**sizes, "architectures": ["LlamaModel"]}, seed=0)
    spec, model = from_hf(reference)
    export(spec, model, tmp_path / "out")
    assert "embed_tokens.weight" in stored_tensors(tmp_path / "out" / "model.safetensors")
    assert generation_of(reference, spec) is None
    whole = random_reference(family_named("llama"), sizes, seed=0)
    with pytest.raises(
        DataError, match=r"missing for a model of this config: 'lm_head\.weight', a matrix for"
    ):
        from_hf(tmp_path / "out", architecture="LlamaForCausalLM")
    with pytest.raises(
        DataError, match=r"LlamaForCausalLM: no part of a model of this config: 'lm_head\.weight'"
    ):
        from_hf(whole, architecture="LlamaModel")


def test_a_certificate_fails_where_two_weights_are_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from zoo.interop import certify

    family = family_named("gpt2")

    def swapped(spec: Any) -> Any:
        rules = family.weights(spec)
        qkv = next(rule for rule in rules if "c_attn.weight" in rule.theirs[0])
        query, key, value = qkv.ours
        return [replace(rule, ours=(key, query, value)) if rule is qkv else rule for rule in rules]

    wrong = replace(family, weights=swapped, examples=family.examples[:1], published=())
    monkeypatch.setattr(certify, "family_named", lambda name: wrong)
    monkeypatch.setattr("zoo.interop.hugging_face.family_of", lambda config, architecture, where: wrong)
    failures = certify.certify("gpt2", seeds=(0,)).failures
    assert any("outputs differ" in failure for failure in failures)
    assert any("gradients of" in failure for failure in failures)
