"""RetNet beyond its certificate: several chunks, older files, and configs that it cannot be."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

pytest.importorskip("transformers")

from registry import SpecError, dump, parse
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export, from_hf, reference_class, reference_config
from zoo.interop.matching import config_of, spec_of

RETNET = family_named("retnet")
SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_heads": 3,
}


def spec(**fields):
    return spec_of(RETNET, {"model_type": "retnet", **SMALL, **fields})


@torch.no_grad()
def test_the_reference_and_ours_give_the_numbers_of_flash_linear_attention():
    """A lock: six logits each at two places, as RetNetForCausalLM of flash-linear-attention 0.6.0 gives them.

    Its Triton kernels were interpreted on a CPU, but for retention over more than 64 tokens, which its own
    naive_retention computed.
    """
    fields = {**SMALL, "hidden_size": 24}
    reference = reference_class(RETNET, "RetNetForCausalLM")(reference_config(RETNET, fields))
    for n, (_, weight) in enumerate(sorted(reference.named_parameters())):
        i = torch.arange(weight.numel(), dtype=torch.float64)
        values = 0.3 * torch.sin(0.7 * i + 1.3 * n + 0.01 * i**1.5)
        weight.copy_((values if weight.dim() > 1 else 1 + values).view(weight.shape))
    tokens = (torch.arange(140) ** 2 * 7 % 31).view(2, 70)
    for model in (reference, from_hf(reference)[1]):
        logits = reference(tokens).logits if model is reference else model(tokens)
        found = torch.stack([logits[0, 8, :6], logits[1, -1, :6]])
        wanted = torch.tensor(
            [
                [-0.572125, -0.528906, -1.474166, -1.936436, 0.619142, 1.601377],
                [-1.467855, -1.204393, -1.496287, -1.051924, 1.058959, 0.686054],
            ]
        )
        assert_close(found, wanted, rtol=0, atol=2e-5)


def test_sequences_of_several_chunks_give_the_references_numbers():
    reference = random_reference(RETNET, SMALL, seed=2)
    _, model = from_hf(reference)
    tokens = torch.randint(31, (2, 150), generator=torch.Generator().manual_seed(1))
    theirs = reference(tokens).logits
    assert_close(model(tokens), theirs, rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))


@pytest.mark.parametrize(
    ("fields", "width"),
    [
        ({"intermediate_size": None}, 256),
        ({"intermediate_size": None, "hidden_size": 1536, "num_heads": 6}, 2048),
        ({"intermediate_size": None, "hidden_size": 2048, "num_heads": 8}, 2816),
        ({"intermediate_size": None, "hidden_size": 2048, "num_heads": 8, "hidden_ratio": 4}, 5632),
        ({"intermediate_size": None, "hidden_size": 2048, "num_heads": 8, "hidden_ratio": None}, 5632),
        ({"hidden_ratio": 4}, 19),
    ],
)
def test_the_width_inside_is_given_or_the_next_multiple_of_256(fields, width):
    assert spec(**fields).decoder.each_layer()[0].ffn.d_ff == width


def test_sizes_of_heads_that_follow_from_others_are_written():
    data = dump(spec())
    mixer = data["decoder"]["layer"]["mixer"]
    assert (mixer["d_k"], mixer["d_v"]) == (4, 8)
    mixer.update(d_k=None, d_v=None)
    family, config, _ = config_of(parse(DecoderOnlySpec, data))
    assert (family.name, config["expand_k"], config["expand_v"]) == ("retnet", 1.0, 2.0)


def test_a_folder_is_written_as_it_was_and_older_ones_are_read_as_it(tmp_path):
    """Until 2025 the gate and what it gates were one matrix; without fuse_norm the gain has another name."""
    found, model = from_hf(random_reference(RETNET, SMALL, seed=3))
    export(found, model, tmp_path / "first")
    again, twin = from_hf(tmp_path / "first")
    export(again, twin, tmp_path / "second")
    first, second = (tmp_path / name / "model.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()

    tensors = load_file(first)
    for layer in ("model.layers.0.", "model.layers.1."):
        up = tensors.pop(f"{layer}mlp.up_proj.weight")
        tensors[f"{layer}mlp.gate_proj.weight"] = torch.cat([tensors[f"{layer}mlp.gate_proj.weight"], up])
        tensors[f"{layer}attn.g_norm.weight"] = tensors.pop(f"{layer}attn.g_norm_swish_gate.weight")
        tensors[f"{layer}attn.rotary.inv_freq"] = torch.ones(2)
    save_file(tensors, second)
    older, read = from_hf(tmp_path / "second")
    assert older == found
    for name, tensor in model.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"attn": {"layers": [0], "num_heads": 2}}, r"attn: .* cannot be represented; only null can"),
        ({"attnres_block_size": 4}, "attnres_block_size: 4 cannot be represented"),
        ({"feature_map": "relu"}, "feature_map: 'relu' cannot be represented"),
        ({"hidden_act": "powlu"}, "hidden_act: 'powlu' cannot be represented"),
        ({"use_output_gate": False}, "use_output_gate: false cannot be represented; only true can"),
        ({"use_short_conv": True}, "use_short_conv: true cannot be represented"),
        ({"num_kv_heads": 1}, "num_kv_heads: 1 cannot be represented; only null or 3 can"),
        (
            {"expand_k": 0.7},
            r"expand_k: times hidden_size \(12\) must be a multiple of num_heads \(3\), got 0\.7",
        ),
        ({"hidden_size": 900}, "num_heads: heads of 300 keys are too large, at most 256 can be"),
        ({"num_heads": 4}, r"d_k \(3\) must be even"),
        ({"decoder_embed_dim": 12}, "decoder_embed_dim: unknown to the retnet mapping"),
    ],
)
def test_what_cannot_be_is_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        spec(**fields)
