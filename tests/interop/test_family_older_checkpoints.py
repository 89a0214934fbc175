"""Checkpoints as they were published: names of older versions, buffers, no prefix, no copies."""

import json
import re

import pytest
import torch

pytest.importorskip("transformers")

from safetensors.torch import save_file
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from zoo.interop.hugging_face import from_hf

OPT = {"vocab_size": 31, "hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "ffn_dim": 29}
BLOOM = {"vocab_size": 31, "n_embed": 20, "num_attention_heads": 5, "n_layer": 2}
NEOX = {
    "vocab_size": 31,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 29,
}
T5 = {"vocab_size": 31, "d_model": 12, "d_kv": 5, "d_ff": 29, "num_layers": 1, "num_heads": 3}


def folder(path, reference, config, tensors):
    path.mkdir()
    given = {**config, "model_type": reference.config.model_type, "architectures": [type(reference).__name__]}
    (path / "config.json").write_text(json.dumps(given))
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path / "model.safetensors")
    return path


def renamed(reference, pattern, replacement, leave_out="never"):
    found = {re.sub(pattern, replacement, name): tensor for name, tensor in reference.state_dict().items()}
    return {name: tensor for name, tensor in found.items() if not re.search(leave_out, name)}


def equal(read, reference):
    _, model = from_hf(read)
    tokens = torch.randint(5, 31, (3, 7))
    pair = {"input_ids": tokens, "decoder_input_ids": tokens[:, :4]}
    if reference.config.is_encoder_decoder:
        torch.testing.assert_close(
            model(tokens, tokens[:, :4]), reference(**pair).logits, rtol=2e-5, atol=2e-5
        )
    else:
        torch.testing.assert_close(model(tokens), reference(input_ids=tokens).logits, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("config", [OPT, {**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 7}])
def test_opt_without_the_prefix_of_the_language_model(config, tmp_path):
    torch.manual_seed(0)
    reference = OPTForCausalLM(OPTConfig(**config)).eval()
    legacy = {**config, "activation_dropout": 0.0, "prefix": "</s>", "torch_dtype": "float32"}
    tensors = renamed(reference, r"^model\.", "", leave_out=r"^lm_head")
    equal(folder(tmp_path / "old", reference, legacy, tensors), reference)


def test_opt_counts_real_tokens_as_positions_where_it_is_told_none():
    torch.manual_seed(0)
    reference = OPTForCausalLM(OPTConfig(**OPT)).eval()
    _, model = from_hf(reference)
    tokens, mask = torch.randint(5, 31, (2, 6)), torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]])
    expected = reference(input_ids=tokens, attention_mask=mask).logits
    real = mask.bool()
    torch.testing.assert_close(model(tokens, mask=real)[real], expected[real], rtol=2e-5, atol=2e-5)


def test_bloom_without_a_prefix_and_by_its_first_field_names(tmp_path):
    torch.manual_seed(0)
    reference = BloomForCausalLM(BloomConfig(**BLOOM)).eval()
    legacy = {**BLOOM, "n_inner": None, "offset_alibi": 100, "seq_length": 2048, "skip_bias_add": True}
    tensors = renamed(reference, r"^transformer\.", "", leave_out=r"^lm_head")
    equal(folder(tmp_path / "old", reference, legacy, tensors), reference)


def test_gpt_neox_with_its_masks_and_the_older_name_of_its_output(tmp_path):
    torch.manual_seed(0)
    config = {**NEOX, "rotary_pct": 0.5, "rotary_emb_base": 50}
    reference = GPTNeoXForCausalLM(GPTNeoXConfig(**config)).eval()
    tensors = renamed(reference, r"^lm_head", "embed_out")
    for i in range(2):
        attention = f"gpt_neox.layers.{i}.attention"
        tensors[f"{attention}.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool).tril()
        tensors[f"{attention}.masked_bias"] = torch.tensor(-1e9)
        tensors[f"{attention}.rotary_emb.inv_freq"] = torch.rand(2)
    equal(folder(tmp_path / "old", reference, config, tensors), reference)


@pytest.mark.parametrize("kept", ["shared", r"encoder\.embed_tokens", "all"])
def test_t5_with_any_copy_of_the_embedding_and_a_table_that_no_code_reads(kept, tmp_path):
    torch.manual_seed(0)
    reference = T5ForConditionalGeneration(T5Config(**T5)).eval()
    matrices = ["shared", r"encoder\.embed_tokens", r"decoder\.embed_tokens", "lm_head"]
    others = "|".join(f"^{name}" for name in matrices if kept not in (name, "all")) or "never"
    tensors = renamed(reference, "never", "", leave_out=others)
    tensors["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.rand(32, 3)
    equal(folder(tmp_path / "old", reference, {**T5, "n_positions": 512}, tensors), reference)
