"""transformers' settings of `generate`, by what our searches make of them."""

from __future__ import annotations

from typing import Any

IDS = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")
OPENING = (
    "forced_bos_token_id", "forced_decoder_ids", "lang_to_id", "language", "no_timestamps_token_id",
    "return_timestamps", "task", "task_to_id",
)  # fmt: skip
"""Settings that say what an output begins with."""
EXPRESSED = (
    *OPENING, "bad_words_ids", "begin_suppress_tokens", "early_stopping", "forced_eos_token_id", "length_penalty",
    "max_length", "max_new_tokens", "num_beams", "num_return_sequences", "suppress_tokens",
)  # fmt: skip
"""Settings that a search of ours has, though not every value of them."""
NEUTRAL: dict[str, Any] = {
    "constraints": None,
    "diversity_penalty": 0,
    "do_sample": False,
    "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1,
    "exponential_decay_length_penalty": None,
    "force_words_ids": None,
    "guidance_scale": 1,
    "max_time": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "penalty_alpha": 0,
    "remove_invalid_values": False,
    "renormalize_logits": False,
    "repetition_penalty": 1,
    "sequence_bias": None,
    "stop_strings": None,
    "token_healing": False,
    "watermarking_config": None,
}
"""Settings that our searches have not, or not always, with the value that does nothing."""
SAMPLING = (
    "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
)  # fmt: skip
"""Settings that do something only beside do_sample."""
WITHOUT_EFFECT = (
    "_from_model_config", "alignment_heads", "assistant_confidence_threshold", "assistant_early_exit",
    "assistant_lookbehind", "cache_config", "cache_implementation", "compile_config", "disable_compile",
    "generation_kwargs", "is_assistant", "is_multilingual", "low_memory", "max_initial_timestamp_index",
    "max_matching_ngram_size", "num_assistant_tokens", "num_assistant_tokens_schedule",
    "output_attentions", "output_hidden_states", "output_logits", "output_scores",
    "prefill_chunk_size", "prev_sot_token_id", "prompt_lookup_num_tokens", "return_dict_in_generate",
    "return_legacy_cache", "target_lookbehind", "transformers_version", "unk_token_id", "use_cache", "use_mtp",
)  # fmt: skip
"""Fields of generation_config.json that change how a search is computed or told, not what it writes."""
FIELDS = frozenset({*EXPRESSED, *NEUTRAL, *SAMPLING, *WITHOUT_EFFECT})
"""The settings of a search that older folders have in config.json, ids left out."""
