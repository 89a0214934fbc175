"""Other names for keys and values: each meaning exists, and a name's meaning goes before its spelling."""

from __future__ import annotations

import pytest

from registry import suggest
from registry.synonyms import KEYS, VALUES, meant_keys, meant_value, plain


@pytest.mark.parametrize("table", [KEYS, VALUES])
def test_the_tables_hold_plain_names_only(table: dict[str, tuple[str, ...]]) -> None:
    assert [name for name in table if plain(name) != name] == []


def test_the_likeliest_key_that_exists_is_meant() -> None:
    assert meant_keys("Learning-Rate", ["a.schedule.factor", "a.schedule.lr"]) == ["a.schedule.lr"]
    assert meant_keys("lr", ["a.schedule.factor", "a.factor"]) == ["a.schedule.factor"]
    assert meant_keys("n_layers", ["m.encoder.n_layers", "m.decoder.n_layers", "n"]) == [
        "m.encoder.n_layers",
        "m.decoder.n_layers",
    ]
    assert meant_keys("lr", ["a.lr"]) == []


def test_a_value_is_meant_only_where_it_is_known() -> None:
    assert meant_value("swish", ["mish", "silu"]) == "silu"
    assert meant_value("swish", ["mish"]) is None
    assert meant_value("Layer-Norm", ["layer_norm"]) == "layer_norm"
    assert suggest("swiglu", ["glu", "mlp"]) == "did you mean {type: glu, activation: silu}?"


def test_names_without_a_letter_or_of_other_alphabets_mean_nothing_else() -> None:
    assert meant_value("__", ["--"]) is None
    assert meant_value("日本.de", ["中国.de"]) is None


def test_beside_a_guess_many_names_are_only_counted_and_the_near_ones_told() -> None:
    many = ["windows", "winds", "silu", *(f"part_{letter}" for letter in "abcdefgh")]

    def told(name: str, known: list[str]) -> str:
        return suggest(name, known, listed=True, listing="zoo list part")

    assert told("windos", many) == "did you mean 'windows' or 'winds'? (9 others: zoo list part)"
    assert told("swish", many) == "did you mean 'silu'? (10 others: zoo list part)"  # by its meaning
    assert told("swiglu", [*many, "glu"]).endswith("silu}? (11 others: zoo list part)")
    assert told("windos", many[1:]).startswith("did you mean 'winds'? (known: part_a, ")  # ten
    assert told("qqq", many).startswith("known: part_a, ")
    assert suggest("windos", many, listed=True).startswith("did you mean 'windows'? (known: part_a, ")


OTHERS = {
    "transformers": "hidden_size num_attention_heads num_hidden_layers intermediate_size rope_theta hidden_act n_embd "
    "n_layer n_head n_inner max_position_embeddings layer_norm_eps attention_dropout num_beams max_new_tokens "
    "gradient_accumulation_steps learning_rate num_train_epochs per_device_train_batch_size activation_function "
    "pad_token_id bos_token_id eos_token_id decoder_start_token_id type_vocab_size no_repeat_ngram_size",
    "torch": "nhead dim_feedforward embed_dim num_encoder_layers num_decoder_layers norm_first lr batch_size epochs",
    "fairseq": "encoder_embed_dim encoder_ffn_embed_dim encoder_attention_heads encoder_layers max_tokens update_freq "
    "warmup_updates max_update encoder_normalize_before share_all_embeddings lenpen max_source_positions",
    "x-transformers": "dim depth heads attn_dim_head ff_mult num_tokens max_seq_len attn_kv_heads ff_dropout",
    "nanoGPT": "block_size max_iters warmup_iters beta1 grad_clip eval_interval log_interval decay_lr",
    "T5X": "emb_dim head_dim mlp_dim mlp_activations dropout_rate logits_via_embedding train_steps",
    "OpenNMT": "rnn_size word_vec_size enc_layers dec_layers transformer_ff accum_count decay_method valid_steps",
    "Lightning": "gradient_clip_val accumulate_grad_batches max_epochs weight_averaging ema_decay",
    "JoeyNMT": "ff_size tied_softmax tied_embeddings validation_freq batch_multiplier beam_alpha scheduling",
}


@pytest.mark.parametrize("library", OTHERS)
def test_the_names_of_other_libraries_are_known(library: str) -> None:
    assert [name for name in OTHERS[library].split() if plain(name) not in KEYS] == []
