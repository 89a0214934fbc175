"""How an imported model is searched: what generation_config.json and config.json say, and what no search can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MarianConfig,
    MarianMTModel,
    T5Config,
    T5ForConditionalGeneration,
)

from registry import SpecError
from zoo.interop.certify import random_reference
from zoo.interop.config import Config
from zoo.interop.family import families, family_named
from zoo.interop.hugging_face import export, from_hf, generation_of
from zoo.interop.matching import spec_of
from zoo.interop.writing import n_output_positions, search_of
from zoo.kinds import DECODING

SIZES = {
    "vocab_size": 31,
    "d_model": 12,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 29,
    "decoder_ffn_dim": 23,
    "max_position_embeddings": 40,
    "pad_token_id": 30,
    "decoder_start_token_id": 30,
    "eos_token_id": 0,
    "forced_eos_token_id": 0,
}
SETTINGS = "generation_config.json"


@pytest.fixture
def marian(tmp_path: Path) -> Path:
    """As transformers 5 saves an OPUS-MT model: its settings stand in generation_config.json only."""
    torch.manual_seed(3)
    reference = MarianMTModel(MarianConfig(**SIZES)).eval()
    for parameter in reference.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    with torch.no_grad():
        reference.final_logits_bias[0, 30] = 4.0  # padding would be written everywhere
        reference.final_logits_bias[0, 0] = 1.0
    reference.generation_config.update(num_beams=6, bad_words_ids=[[30]], max_length=20)
    reference.save_pretrained(tmp_path / "marian")
    return tmp_path / "marian"


def change(file: Path, *drop: str, **fields: Any) -> None:
    data = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(
        json.dumps({name: value for name, value in {**data, **fields}.items() if name not in drop})
    )


def said_and_found(folder: Path) -> tuple[list[str], Any]:
    lines: list[str] = []
    spec, _ = from_hf(folder)
    return lines, generation_of(folder, spec, say=lines.append)


def written(folder: Path, source: torch.Tensor) -> list[list[int]]:
    spec, model = from_hf(folder)
    outputs = DECODING.build(generation_of(folder, spec))(model, source)
    return [hypotheses[0].tokens for hypotheses in outputs]


def generated(folder: Path, source: torch.Tensor) -> list[list[int]]:
    """What transformers writes by the folder alone."""
    rows = MarianMTModel.from_pretrained(folder).generate(source)[:, 1:].tolist()
    return [row[: row.index(0)] if 0 in row else row for row in rows]


def test_a_marian_folder_saved_by_transformers_5_writes_what_it_writes_there(marian: Path) -> None:
    assert "num_beams" not in json.loads((marian / "config.json").read_text())
    source = torch.randint(1, 29, (9, 7), generator=torch.Generator().manual_seed(0))
    theirs = generated(marian, source)
    lines, search = said_and_found(marian)
    assert lines == []
    assert (search.type, search.beam_size, search.ids.never, search.max_length) == ("beam", 6, (30,), 18)
    assert sum(len(tokens) < 18 for tokens in theirs) >= 3
    assert written(marian, source) == theirs


@pytest.mark.parametrize("is_forced", [True, False])
@pytest.mark.parametrize("stop", [True, False, "never"])
@pytest.mark.parametrize(("n_beams", "length_penalty"), [(2, 1.0), (5, 1.5), (3, 2.0)])
def test_what_reaches_the_maximum_length_is_ranked_as_there(
    marian: Path, tmp_path: Path, n_beams: int, length_penalty: float, stop: bool | str, is_forced: bool
) -> None:
    reference = MarianMTModel.from_pretrained(marian)
    reference.final_logits_bias.data[0, 0] = 0.0  # fewer outputs end
    reference.save_pretrained(marian)
    drop = () if is_forced else ("forced_eos_token_id",)
    fields = {"num_beams": n_beams, "length_penalty": length_penalty, "early_stopping": stop, "max_length": 9}
    change(marian / "config.json", "forced_eos_token_id")
    change(marian / SETTINGS, *drop, **fields)
    source = torch.randint(1, 29, (17, 7), generator=torch.Generator().manual_seed(1))
    theirs = generated(marian, source)
    lines, search = said_and_found(marian)
    assert (lines, search.at_limit) == ([], "free_end" if is_forced else "cut")
    assert max(len(tokens) for tokens in theirs) == (7 if is_forced else 8)
    assert written(marian, source) == theirs
    spec, model = from_hf(marian)
    export(spec, model, tmp_path / "back", generation=search)
    assert generated(tmp_path / "back", source) == theirs


@pytest.mark.parametrize("n_beams", [1, 4])
def test_a_first_token_that_is_forced_is_written_as_there(marian: Path, tmp_path: Path, n_beams: int) -> None:
    change(marian / SETTINGS, forced_bos_token_id=7, num_beams=n_beams, length_penalty=0.6)
    source = torch.randint(1, 29, (9, 7), generator=torch.Generator().manual_seed(0))
    theirs = generated(marian, source)
    lines, search = said_and_found(marian)
    assert (lines, search.ids.first) == ([], (7,))
    assert sum(len(tokens) < 18 for tokens in theirs) >= 3
    assert [[7, *tokens] for tokens in written(marian, source)] == theirs
    spec, model = from_hf(marian)
    export(spec, model, tmp_path / "back", generation=search)
    assert json.loads((tmp_path / "back" / SETTINGS).read_text())["forced_bos_token_id"] == 7


def test_an_older_folder_says_the_same_in_its_config(marian: Path) -> None:
    expected = said_and_found(marian)[1]
    (marian / SETTINGS).unlink()
    change(marian / "config.json", num_beams=6, bad_words_ids=[[30]], max_length=20)
    assert said_and_found(marian) == ([], expected)


def test_as_in_transformers_settings_of_the_config_are_not_read_beside_the_file_and_that_is_said(
    marian: Path,
) -> None:
    change(marian / "config.json", num_beams=3, no_repeat_ngram_size=2, bad_words_ids=[[30]])
    change(marian / SETTINGS, "num_beams", "bad_words_ids")
    lines, search = said_and_found(marian)
    assert (search.type, search.ids.never) == ("greedy", ())
    assert MarianMTModel.from_pretrained(marian).generation_config.num_beams is None
    where = marian / "config.json"
    assert lines == [
        f"{where}: not read, as {SETTINGS} stands beside it: bad_words_ids [[30]], no_repeat_ngram_size 2, num_beams 3"
    ]


def test_ids_that_the_file_leaves_out_come_from_the_config(marian: Path) -> None:
    change(marian / SETTINGS, "eos_token_id", "pad_token_id", "decoder_start_token_id")
    ids = said_and_found(marian)[1].ids
    assert (ids.end, ids.pad, ids.start) == (0, 30, 30)


def test_what_no_search_of_ours_has_is_named_in_one_line(marian: Path) -> None:
    change(
        marian / SETTINGS,
        min_length=5,
        no_repeat_ngram_size=3,
        begin_suppress_tokens=[4],
        suppress_tokens=[9, 0],
        bad_words_ids=[[30], [3, 4], [0]],
        repetition_penalty=1.2,
        temperature=0.7,
        top_k=50,
        mystery=1,
        length_penalty=-1.0,
        use_cache=True,
        num_beam_groups=1,
        exponential_decay_length_penalty=None,
    )
    lines, search = said_and_found(marian)
    assert search.ids.never == (30, 9)
    assert lines == [
        f"{marian / SETTINGS}: a search of ours cannot express bad_words_ids [[3, 4]], suppress_tokens [0], "
        "length_penalty -1.0, mystery 1; it is searched without"
    ]
    assert (search.min_length, search.no_repeat_ngram, search.repetition_penalty) == (4, 3, 1.2)
    assert search.ids.not_first == (4,)


def test_an_end_among_the_bad_words_may_be_written_as_in_transformers(marian: Path) -> None:
    change(marian / SETTINGS, bad_words_ids=[[30], [0], [30], [31]])  # 31 is beyond the vocabulary
    lines, search = said_and_found(marian)
    assert (search.ids.never, lines) == ((30,), [])


def llama(folder: Path, **settings: Any) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=31,
        hidden_size=12,
        intermediate_size=19,
        num_hidden_layers=1,
        num_attention_heads=3,
        bos_token_id=5,
        eos_token_id=1,
    )
    reference = LlamaForCausalLM(config)
    for parameter in reference.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    reference.save_pretrained(folder)
    (folder / SETTINGS).write_text(json.dumps({"bos_token_id": 5, **settings}))
    return folder


def test_a_llama_folder_with_two_ends_stops_at_either_where_transformers_stops(tmp_path: Path) -> None:
    prompts = torch.randint(6, 31, (5, 4), generator=torch.Generator().manual_seed(1))
    free = llama(tmp_path / "free", eos_token_id=1, max_new_tokens=12)
    rows = LlamaForCausalLM.from_pretrained(free).generate(prompts, pad_token_id=0)[:, 4:].tolist()
    ends = [rows[0][2], rows[1][3]]  # words that are written, so that outputs end
    folder = llama(tmp_path / "ended", eos_token_id=ends, max_new_tokens=12)
    theirs = LlamaForCausalLM.from_pretrained(folder).generate(prompts, pad_token_id=0)[:, 4:].tolist()
    expected = [row[: min(row.index(end) for end in ends if end in row)] for row in theirs[:2]]
    _, search = said_and_found(folder)
    assert (search.ids.ends, search.max_length) == (tuple(dict.fromkeys(ends)), 12)
    assert written(folder, prompts)[:2] == expected


NO_LENGTH = (
    "it does not say how long an output may become; transformers stops after 20 tokens, this search after"
)


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default")
def test_a_folder_that_says_no_search_is_searched_as_transformers_does_and_its_length_is_told(
    tmp_path: Path,
) -> None:
    sizes = {"vocab_size": 31, "d_model": 12, "d_kv": 5, "d_ff": 29, "num_layers": 1, "num_heads": 3}
    torch.manual_seed(1)
    reference = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).eval()
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    reference.save_pretrained(tmp_path)
    lines, search = said_and_found(tmp_path)
    assert (search.type, search.ids.start, search.ids.end) == ("greedy", 0, 1)
    assert lines == [f"{tmp_path / SETTINGS}: {NO_LENGTH} source + 50"]
    source = torch.randint(2, 31, (9, 7), generator=torch.Generator().manual_seed(0))
    theirs = reference.generate(source)[:, 1:].tolist()
    assert len({tuple(row) for row in theirs}) > 3
    assert [row[:20] for row in written(tmp_path, source)] == theirs  # none of which ends
    change(tmp_path / SETTINGS, max_new_tokens=9)
    assert said_and_found(tmp_path)[0] == []


@pytest.mark.parametrize("family", [each for each in families() if each.writing], ids=lambda each: each.name)
def test_no_family_has_a_search_of_its_own_where_nothing_is_said(family: Any) -> None:
    spec = spec_of(family, {"model_type": family.name, **family.examples[0]})
    data, left_out = search_of(family.writing, Config({"eos_token_id": 1, "bos_token_id": 2}), None, spec)
    assert (data["type"], left_out) == ("greedy", [])


WHISPER = {
    "alignment_heads": [[2, 2], [3, 0]],
    "begin_suppress_tokens": [5, 29],
    "is_multilingual": True,
    "lang_to_id": {"<|de|>": 11, "<|en|>": 12, "<|fr|>": 13},
    "max_length": 13,
    "no_timestamps_token_id": 28,
    "return_timestamps": False,
    "suppress_tokens": [1, 2, 7],
}


def test_whispers_forced_and_suppressed_tokens_are_told_apart(tmp_path: Path) -> None:
    family = family_named("whisper")
    random_reference(family, family.examples[0], seed=0).save_pretrained(tmp_path)
    change(tmp_path / SETTINGS, **WHISPER)
    change(tmp_path / "config.json", begin_suppress_tokens=[5, 29])
    lines, search = said_and_found(tmp_path)
    assert (search.ids.never, search.ids.not_first, search.max_length) == ((1, 2, 7), (5, 29), 12)
    assert lines == [
        f"{tmp_path / SETTINGS}: a search of ours cannot express lang_to_id; it is searched without"
    ]
    spec, model = from_hf(tmp_path)
    export(spec, model, tmp_path / "back", generation=search)
    said = json.loads((tmp_path / "back" / SETTINGS).read_text())
    assert (said["suppress_tokens"], said["begin_suppress_tokens"]) == ([1, 2, 7], [5, 29])


def test_sampling_is_ours_and_a_length_that_counts_the_prompt_is_named(tmp_path: Path) -> None:
    folder = llama(
        tmp_path / "chat", eos_token_id=1, do_sample=True, temperature=0.6, top_p=0.9, max_length=50
    )
    lines, search = said_and_found(folder)
    assert (search.type, search.temperature, search.top_p, search.top_k) == ("sampling", 0.6, 0.9, 50)
    (line,) = lines
    assert (
        line.split("cannot express ")[1]
        == "max_length 50 (the prompt is counted in it); it is searched without"
    )
    spec, model = from_hf(folder)
    export(spec, model, tmp_path / "back", generation=search)
    said = json.loads((tmp_path / "back" / SETTINGS).read_text())
    assert (said["do_sample"], said["temperature"], said["top_p"], said["top_k"]) == (True, 0.6, 0.9, 50)
    assert said_and_found(tmp_path / "back")[1].model_copy(update={"max_length": search.max_length}) == search


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 1.6},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 9},
        {"min_length": 9, "forced_bos_token_id": 7, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
        {"min_length": 9, "min_new_tokens": None},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_what_is_weighed_without_drawing_is_written_as_there(
    marian: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    change(marian / SETTINGS, num_beams=1, min_new_tokens=5)  # so that there is something to weigh
    source = torch.randint(1, 29, (9, 7), generator=torch.Generator().manual_seed(0))
    plain = generated(marian, source)
    change(marian / SETTINGS, **settings)
    theirs = generated(marian, source)
    assert theirs != plain
    lines, search = said_and_found(marian)
    assert (lines, search.type) == ([], "greedy")
    ours = [[*search.ids.first, *tokens] for tokens in written(marian, source)]
    assert ours == [tokens[: search.max_length] for tokens in theirs]
    spec, model = from_hf(marian)
    export(spec, model, tmp_path / "back", generation=search)
    assert said_and_found(tmp_path / "back")[1] == search


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"eos_token_id": []}, "eos_token_id: no token is said to end an output"),
        ({"early_stopping": "often"}, "early_stopping: must be true, false or 'never', got 'often'"),
        ({"bad_words_ids": [7]}, r"bad_words_ids: must be lists of token ids, got \[7\]"),
        ({"suppress_tokens": 7}, "suppress_tokens: must be token ids, got 7"),
        ({"num_beams": "six"}, "num_beams: must be an integer, got 'six'"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_file_and_field(
    marian: Path, fields: dict[str, Any], problem: str
) -> None:
    change(marian / SETTINGS, **fields)
    with pytest.raises(SpecError, match=rf"generation_config\.json: {problem}"):
        said_and_found(marian)


@pytest.mark.parametrize("settings", [{}, {"max_length": 10_000}, {"max_new_tokens": 10_000}])
@pytest.mark.parametrize("family", [each for each in families() if each.writing], ids=lambda each: each.name)
def test_no_output_may_be_longer_than_the_positions(family: Any, settings: dict[str, int]) -> None:
    for example in family.examples:
        spec = spec_of(family, {"model_type": family.name, **example})
        if spec.head.type != "language_model" or (limit := n_output_positions(spec)) is None:
            continue
        ids = {"eos_token_id": 1, "bos_token_id": 2}
        data, _ = search_of(family.writing, Config({**example, **ids}), Config({**ids, **settings}), spec)
        assert isinstance(data["max_length"], int)
        assert 1 <= data["max_length"] < limit


def test_the_longest_output_takes_every_position(marian: Path) -> None:
    change(marian / SETTINGS, "forced_eos_token_id", max_length=41)
    change(marian / "config.json", eos_token_id=29)
    change(marian / SETTINGS, eos_token_id=29, bad_words_ids=[[30]])  # 29 hardly comes by itself
    assert said_and_found(marian)[1].max_length == 39
    outputs = written(marian, torch.randint(1, 29, (3, 40)))
    assert max(map(len, outputs)) <= 39


def test_an_exported_folder_says_again_how_it_is_searched(marian: Path, tmp_path: Path) -> None:
    spec, model = from_hf(marian)
    search = generation_of(marian, spec)
    lines: list[str] = []
    export(spec, model, tmp_path / "back", generation=search, say=lines.append)
    assert lines == []
    expected = {
        "num_beams": 6,
        "bad_words_ids": [[30]],
        "max_length": 20,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
        "decoder_start_token_id": 30,
        "pad_token_id": 30,
        "length_penalty": 1.0,
        "early_stopping": False,
    }
    assert json.loads((tmp_path / "back" / SETTINGS).read_text()) == expected
    assert said_and_found(tmp_path / "back") == ([], search)
    source = torch.randint(1, 29, (9, 7), generator=torch.Generator().manual_seed(0))
    assert generated(tmp_path / "back", source) == generated(marian, source)
