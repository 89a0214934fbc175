"""ViT beyond its certificate: the base model, both namings of checkpoints, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from safetensors.torch import save_file

from registry import SpecError
from zoo.assembly.build import build
from zoo.interop.certify import GRADIENT_BAR, GRADIENT_FLOOR, random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export, from_hf, to_hf
from zoo.interop.matching import spec_of
from zoo.interop.transfer import by_rules_names, fill
from zoo.storage.tensors import Held

VIT = family_named("vit")
SMALL = VIT.examples[0]
BASE = [
    {**SMALL, "architectures": ["ViTModel"]},
    {
        **SMALL,
        "architectures": ["ViTModel"],
        "pooler_output_size": 17,
        "pooler_act": "gelu",
        "image_size": [5, 15],
    },
]


def images(config):
    size = config["image_size"]
    height, width = size if isinstance(size, list) else (size, size)
    return torch.randn(3, config["num_channels"], height, width)


@pytest.mark.parametrize("config", BASE)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_base_model_gives_the_references_vectors_and_gradients(config, seed, tmp_path):
    reference = random_reference(VIT, config, seed=seed)
    spec, model = from_hf(reference)
    x = images(config)
    theirs = reference(x)
    size = theirs.last_hidden_state.detach().abs().max().item()
    assert_close(model.encode(x), theirs.last_hidden_state, rtol=0, atol=2e-5 * size)
    assert_close(model(x), theirs.pooler_output, rtol=0, atol=2e-5)
    direction = torch.randn_like(theirs.pooler_output)
    (model(x) * direction).sum().backward()
    (theirs.pooler_output * direction).sum().backward()
    gradients = {name: Held(parameter.grad) for name, parameter in reference.named_parameters()}
    expected = build(spec, device="meta")
    rules = VIT.weights(spec)
    fill(expected, rules, by_rules_names(VIT, rules, gradients), where="gradients", dtype=None)
    theirs_of = [gradient.detach() for gradient in expected.parameters()]
    largest = max(gradient.abs().max().item() for gradient in theirs_of)
    for (name, mine), wanted in zip(model.named_parameters(), theirs_of, strict=True):
        if name.endswith(
            "key.bias"
        ):  # zero, for all scores of a query move together: both have rounding only
            assert max(mine.grad.abs().max().item(), wanted.abs().max().item()) <= 1e-5 * largest, name
            continue
        size = max(wanted.abs().max().item(), GRADIENT_FLOOR * largest)
        assert (mine.grad - wanted).abs().max().item() <= GRADIENT_BAR * size, name
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in reference.parameters())

    export(spec, model, tmp_path / "out")
    again, twin = from_hf(tmp_path / "out")
    assert again == spec
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())
    for other in (to_hf(spec, model), type(reference).from_pretrained(tmp_path / "out")):
        assert_close(other.eval()(x).pooler_output, theirs.pooler_output, rtol=0, atol=1e-5)


def test_layers_load_by_the_names_before_and_since_transformers_5(tmp_path):
    reference = random_reference(VIT, SMALL, seed=3)
    reference.save_pretrained(tmp_path / "old")
    (tmp_path / "new").mkdir()
    save_file(reference.state_dict(), tmp_path / "new" / "model.safetensors")
    config = (tmp_path / "old" / "config.json").read_text()
    (tmp_path / "new" / "config.json").write_text(config)
    _, old = from_hf(tmp_path / "old")
    _, new = from_hf(tmp_path / "new")
    x = images(SMALL)
    assert torch.equal(old(x), new(x))
    assert_close(old(x), reference(x).logits, rtol=0, atol=1e-5)
    names = json.dumps(
        sorted(VIT.weights(spec_of(VIT, {"model_type": "vit", **SMALL}))[4].forms[0][0].theirs)
    )
    assert "encoder.layer.0.attention.attention.query.weight" in names  # what is written


def test_a_base_model_without_its_pooler_ends_in_its_last_norm():
    transformers = pytest.importorskip("transformers")
    config = {key: value for key, value in BASE[0].items() if key != "architectures"}
    bare = transformers.ViTModel(transformers.ViTConfig(**config), add_pooling_layer=False)
    spec, model = from_hf(bare.eval())
    assert spec.head.type == "none"
    pixels = images(SMALL)
    assert_close(model(pixels), bare(pixel_values=pixels).last_hidden_state, rtol=2e-5, atol=2e-5)
    back = to_hf(spec, model)
    assert back.pooler is None
    assert_close(
        back(pixel_values=pixels).last_hidden_state,
        bare(pixel_values=pixels).last_hidden_state,
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("patch_size", [5, 2], "patches of 5 × 2 cannot be represented"),
        ("image_size", "large", "must be a number of pixels"),
        ("image_size", 11, "patches of 5 pixels leave some of 11 × 11 over"),
        ("num_labels", 0, "a classifier without classes"),
        ("hidden_act", "selu", "the activation 'selu' cannot be represented"),
        ("mask_ratio", 0.75, "unknown to the vit mapping"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_its_field(field, value, message):
    with pytest.raises(SpecError, match=message) as caught:
        spec_of(VIT, {"model_type": "vit", **SMALL, field: value})
    assert field in str(caught.value)
