"""A search of ours as transformers' settings, and what those cannot say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from transformers import GPT2Config, GPT2LMHeadModel

from registry import parse
from zoo.interop.hugging_face import export, from_hf, generation_of
from zoo.kinds import DECODING

SETTINGS = "generation_config.json"


@pytest.mark.parametrize(
    "data",
    [
        {"type": "greedy", "max_length": 9, "ids": {"pad": 3, "start": 5, "end": [1, 7], "never": [2, 4]}},
        {"type": "beam", "beam_size": 5, "n_best": 2, "stop": "exact", "max_length": 9, "at_limit": "cut",
         "length_penalty": {"type": "power", "alpha": 0.4}, "ids": {"pad": 3, "start": 5, "end": 1, "never": []}},
        {"type": "greedy", "max_length": 9, "min_length": 3, "repetition_penalty": 1.3,
         "ids": {"pad": 3, "start": 5, "end": [1, 7], "never": [2, 7], "not_first": [4, 1]}},
        {"type": "beam", "max_length": 9, "min_length": 4, "no_repeat_ngram": 3, "stop": "full",
         "at_limit": "free_end", "length_penalty": {"type": "power", "alpha": 2.0},
         "ids": {"pad": 3, "start": 5, "end": 1, "never": [2]}},
        {"type": "sampling", "max_length": 9, "top_k": 1, "no_repeat_ngram": 2,
         "ids": {"pad": 3, "start": 5, "end": 1, "never": [2]}},
    ],
)  # fmt: skip
def test_a_search_goes_to_transformers_and_back(tmp_path: Path, data: dict[str, Any]) -> None:
    reference = GPT2LMHeadModel(GPT2Config(vocab_size=31, n_positions=17, n_embd=12, n_head=3, n_layer=1))
    spec, model = from_hf(reference)
    search = parse(DECODING.entry(data["type"]).spec, data, path="generation")
    export(spec, model, tmp_path / "out", generation=search)
    assert generation_of(tmp_path / "out", spec) == search
    again = GPT2LMHeadModel.from_pretrained(tmp_path / "out").generation_config
    assert again.eos_token_id == data["ids"]["end"]


def test_what_transformers_has_no_setting_for_is_named(tmp_path: Path) -> None:
    reference = GPT2LMHeadModel(GPT2Config(vocab_size=31, n_positions=17, n_embd=12, n_head=3, n_layer=1))
    spec, model = from_hf(reference)
    data = {"type": "beam", "length_penalty": "gnmt", "max_length": "source + 3"}
    lines: list[str] = []
    search = parse(DECODING.entry("beam").spec, data, path="generation")
    export(spec, model, tmp_path / "out", generation=search, say=lines.append)
    assert lines == [
        f"{tmp_path / 'out'}: {SETTINGS} cannot say of generation: length_penalty 'gnmt', "
        "at_limit 'end' (an output as long as may be ends there at no cost), max_length 'source + 3'"
    ]
