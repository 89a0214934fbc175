"""zoo explain: any word leads to its page."""

from __future__ import annotations

import json
from typing import Any

import pytest

import zoo.kinds  # noqa: F401  which lists ours
from registry import inner_specs, kinds
from registry.synonyms import KEYS
from zoo.run.spec import RunSpec


def explained(zoo: Any, *words: str) -> Any:
    result = zoo("explain", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_is_told_with_bounds_default_source_and_the_presets_that_set_it(zoo: Any) -> None:
    page = explained(zoo, "radius")
    (meaning,) = [each for each in page["meanings"] if "attention/restricted" in each["of"]]
    assert (meaning["type"], meaning["bounds"], meaning["required"]) == (
        "an integer",
        ["at least 0", "at most 1000000"],
        True,
    )
    assert meaning["doc"].startswith("Positions seen on each side of a query")
    assert any(each.startswith("zoo/components/attention/restricted.py:") for each in meaning["where"])
    assert any(each.startswith("Vaswani et al. 2017, section 4") for each in meaning["sources"])
    assert page["presets"]["4095"] == ["gemma2_2b", "mistral_7b"]
    text = zoo("explain", "radius").stdout
    assert "  takes    an integer, at least 0, at most 1000000\n  default  none: it must be given\n" in text


def test_a_dotted_key_is_that_key_alone_and_has_a_value_in_a_spec(zoo: Any) -> None:
    page = explained(zoo, "model.encoder.layer.self_attention.n_heads", "quickstart")
    assert [each["of"] for each in page["meanings"]] == [["attention/multi_head"]]
    assert page["in"]["values"] == {"model.encoder.layer.self_attention.n_heads": 4}
    assert page["in"]["where"].startswith("presets/quickstart.yaml:")
    assert "quickstart" in page["presets"]["4"]
    assert "gpt2" not in str(page["presets"])  # it has no encoder


def test_a_value_of_a_part_that_is_no_number_is_told_too(zoo: Any) -> None:
    assert "gpt2" in explained(zoo, "layout")["presets"]["pre_norm"]


@pytest.mark.parametrize(
    ("word", "name", "what"),
    [
        ("hidden_size", "d_model", "key"),
        ("num_attention_heads", "n_heads", "key"),
        ("epochs", "max_steps", "key"),
        ("pad_token_id", "padding_id", "key"),
        ("swiglu", "ffn/glu", "part"),
        ("rope", "position/rotary", "part"),
    ],
)
def test_the_name_of_another_library_leads_to_the_page_of_ours(
    zoo: Any, word: str, name: str, what: str
) -> None:
    page = explained(zoo, word)
    assert (page["called"], page["word"], page["what"]) == (word, name, what)
    assert zoo("explain", word).stdout.startswith(f"{word} is here called ")


def test_a_name_that_is_a_part_s_and_a_key_s_leads_to_both(zoo: Any) -> None:
    assert zoo("explain", "sliding_window").stdout.startswith(
        "sliding_window is here called restricted, or radius.\n"
    )


def test_what_another_name_counts_differently_is_said(zoo: Any) -> None:
    assert zoo("explain", "epochs").stdout.startswith(
        "epochs is here called max_steps (it counts steps, not epochs).\n"
    )


def test_a_part_is_described_and_the_presets_that_have_it_are_told(zoo: Any) -> None:
    for word in ("restricted", "attention/restricted"):
        page = explained(zoo, word)
        assert page["word"] == "attention/restricted"
        assert "transformer_restricted" in page["used_by"]
        assert "gpt2" not in page["used_by"]
    assert zoo("describe", "attention/restricted").stdout.strip() in zoo("explain", "restricted").stdout


def test_a_name_of_parts_of_several_kinds_leads_to_all_of_them(zoo: Any) -> None:
    page = explained(zoo, "none")
    assert {each["word"] for each in page["parts"]} > {"attention/none", "norm/none", "ffn/none"}


@pytest.mark.parametrize(
    ("word", "what", "said"),
    [
        ("attention", "kind", "multi_head"),
        ("training", "spec", "max_steps: "),
        ("StackSpec", "spec", "final_norm: "),
        ("evaluation_is_deterministic", "law", "Two evaluations of one input are the same."),
        ("gpt2", "preset", "zoo show gpt2"),
    ],
)
def test_every_other_word_has_a_page_too(zoo: Any, word: str, what: str, said: str) -> None:
    assert explained(zoo, word)["what"] == what
    assert said in zoo("explain", word).stdout


def test_check_tells_editors_where_each_mistake_stands(zoo: Any, tmp_path: Any) -> None:
    (tmp_path / "my.yaml").write_text(
        "extends: quickstart\nmodel:\n  n_embd: 64\ntraining: {seed: -1}\ngeneration: beem\n"
    )
    (tmp_path / "cut.yaml").write_text("model: {\n")
    result = zoo("check", "my.yaml", "gpt2", "cut.yaml", "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    mine, fine, cut = json.loads(result.stdout)
    assert (fine["mistakes"], fine["parameters"]) == ([], 124439808)
    keys = ("file", "line", "column", "path", "value", "rule", "suggestion")
    assert [tuple(each[key] for key in keys) for each in mine["mistakes"]] == [
        ("my.yaml", 3, 3, "model.n_embd", 64, "unknown key", "did you mean 'model.d_model'?"),
        ("my.yaml", 4, 12, "training.seed", -1, "must be at least 0", None),
        (
            *("my.yaml", 5, 1, "generation", "beem", "no decoding is registered as 'beem'"),
            "did you mean 'beam'? (known: beam, greedy, sampling)",
        ),
    ]
    (broken,) = cut["mistakes"]
    assert (broken["file"], broken["line"], broken["path"]) == ("cut.yaml", 2, None)
    assert broken["rule"].startswith("not YAML")
    (override,) = json.loads(zoo("check", "gpt2", "model.d_model=0", "--json").stdout)[0]["mistakes"]
    assert (override["override"], override["file"], override["value"]) == ("model.d_model=0", None, 0)


def test_each_key_that_another_name_means_is_one_of_a_part() -> None:
    parts = [kind.entry(name).spec for kind in kinds() for name in kind.names()]
    known = {key for spec in [*inner_specs(RunSpec, kinds()).values(), *parts] for key in spec.model_fields}
    meant = {end.rpartition(".")[2] for ends in KEYS.values() for end in ends}
    assert meant - known - {"generation", "training", "task"} == set()
