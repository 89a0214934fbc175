"""The ablation file: what it may say, and where its mistakes are told to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from presets import PresetError
from registry import SpecError
from tests.ablation.pretending import plan_of, small
from zoo.ablation.ablating import plan_ablation
from zoo.ablation.plan import slug
from zoo.ablation.planning import make_plan
from zoo.ablation.spec import changes, read
from zoo.ablation.telling import plan_text

HEAD = "base: char_gpt\nscale: tiny\n"
SHALLOW = "variants:\n  shallow: {model.decoder.n_layers: 1}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises((SpecError, PresetError)) as caught:
        make_plan(read(path))
    return str(caught.value).splitlines()


def test_variants_come_in_the_order_of_the_file_with_their_own_names_or_those_of_their_values() -> None:
    spec = read(
        small(
            variants={"wide": {"model.d_model": 24}},
            factors={
                "model.decoder.n_layers": [1, 3],
                "model.position": ["none", {"type": "rotary", "base": 500}],
            },
            grid={"model.d_model": [6, 24], "model.decoder.layer.norm": ["rms_norm"]},
        )
    ).spec
    assert [(each.name, each.overrides) for each in changes(spec)] == [
        ("wide", ("model.d_model=24",)),
        ("n_layers=1", ("model.decoder.n_layers=1",)),
        ("n_layers=3", ("model.decoder.n_layers=3",)),
        ("position=none", ('model.position="none"',)),
        ("position=rotary_base=500", ('model.position={"type": "rotary", "base": 500}',)),
        ("d_model=6 norm=rms_norm", ("model.d_model=6", 'model.decoder.layer.norm="rms_norm"')),
        ("d_model=24 norm=rms_norm", ("model.d_model=24", 'model.decoder.layer.norm="rms_norm"')),
    ]


def test_a_number_of_seeds_stands_for_as_many() -> None:
    assert read(small(seeds=4)).spec.seeds == (1, 2, 3, 4)
    assert read(small(seeds=[7, 3])).spec.seeds == (7, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "a.yaml:1: nothing varies: give variants, factors or grid"),
        (HEAD + SHALLOW + "seed: 3\n", "a.yaml:5: seed: unknown key; did you mean 'seeds'?"),
        (HEAD + SHALLOW + "seeds: [1, 1]\n", "a.yaml:5: seeds: one is there twice"),
        (HEAD + "variants:\n  base: {model.d_model: 8}\n", "a.yaml:4: variants.base: the base itself has this name"),
        (HEAD + "variants:\n  same: {}\n", "variants.same: it changes nothing"),
        (HEAD + SHALLOW + "match: flops\n", "a.yaml:5: match: flops needs by, the width that is adjusted"),
        (HEAD + SHALLOW + "by: model.d_model\n", "a.yaml:5: by: belongs to match: parameters or flops; match: none"),
        (HEAD + "factors: {model.d_model: []}\n", "a.yaml:3: factors.model.d_model: no value"),
        (HEAD + "grid: {model.d_model: [8, 8]}\n", "a.yaml:3: grid.model.d_model: a value is there twice"),
        ("- a\n", "a.yaml:1: no mapping; an ablation has the keys base, scale, overrides"),
        (SHALLOW, "base: missing key"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    found = mistakes(written(tmp_path, text))
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith(str(tmp_path / "a.yaml") + ":")


def test_every_wrong_override_names_its_variant_and_its_line(tmp_path: Path) -> None:
    text = (
        f"{HEAD}variants:\n"
        "  good: {model.decoder.n_layers: 1}\n"
        "  odd:\n    model.decoder.layer.self_attention.n_heads: 3\n"
        "  strange: {model.decoder.n_layer: 1}\n"
        "factors:\n  model.decoder.layer.norm: [layer_norm, layer_nrom]\n"
    )
    path = written(tmp_path, text)
    heads, unknown, norm = sorted(mistakes(path), key=lambda line: int(line.split(":")[1]))
    assert heads.startswith(
        f"{path}:5: model.decoder.layer.self_attention: variant 'odd': n_heads (3) must divide"
    )
    assert unknown.startswith(f"{path}:7: ")
    assert "variant 'strange': " in unknown
    assert "n_layers" in unknown
    assert norm.startswith(f"{path}:9: model.decoder.layer.norm")
    assert "variant 'norm=layer_nrom'" in norm


def test_mistakes_of_all_parts_of_the_file_come_at_once_and_grouped(tmp_path: Path) -> None:
    text = (
        "base: char_gpt\nscale: tiny\nseed: 3\noverrides:\n  model.decoder.n_layers: 2\n  training.seed: 3\n"
        "variants:\n  odd: {model.decoder.layer.self_attention.n_heads: 3}\n  empty: {}\n"
        "  strange: {model.decoder.n_layer: 1}\nmatch: parameters\nmetric: bleu\n"
        "tune: {training.schedule.peak_lrr: [0.1, 0.2]}\nfactors: {model.d_model: 3}\n"
    )
    path = written(tmp_path, text)
    found = mistakes(path)
    numbers = [int(line.removeprefix(f"{path}:").partition(":")[0]) for line in found]
    assert sorted(numbers[:5]) == [3, 6, 9, 11, 14]  # of the file itself
    assert numbers[5:] == [8, 10, 13, 12]  # of variants, of what is tuned, of the score; each once


def test_mistakes_of_variants_are_told_beside_those_of_their_base_but_not_for_it(tmp_path: Path) -> None:
    text = (
        f"{HEAD}overrides:\n  model.decoder.n_layers: 0\nvariants:\n  fine: {{model.d_model: 16}}\n"
        "  strange: {model.decoder.n_layer: 1}\ntune: {training.schedule.peak_lrr: [0.1, 0.2]}\nmatch: nothing\n"
    )
    path = written(tmp_path, text)
    match, base, variant, tuned = mistakes(path)
    assert match.startswith(f"{path}:9: match: must be ")
    assert base.startswith(f"{path}:4: model.decoder.n_layers: must be at least 1")
    assert variant.startswith(f"{path}:7: model.decoder.n_layer: variant 'strange': unknown key")
    assert tuned.startswith(f"{path}:8: training.schedule.peak_lrr: variant 'base': unknown key")


def test_a_base_that_is_none_is_told_with_the_files_own_mistakes(tmp_path: Path) -> None:
    path = written(tmp_path, f"base: char_gtp\nseeds: 0\n{SHALLOW}")
    seeds, base = mistakes(path)[:2]
    assert seeds.startswith(f"{path}:2: seeds: must be")
    assert base.startswith(f"{path}:1: base: ")


def test_a_width_that_is_no_key_is_told_once_for_all_variants(tmp_path: Path) -> None:
    variants = "variants:\n  r: {model.position: rotary}\n  s: {model.decoder.n_layers: 1}\n"
    path = written(tmp_path, f"{HEAD}{variants}match: parameters\nby: model.nope\n")
    assert len(mistakes(path)) == 1


def test_a_mistake_in_what_all_have_is_that_of_the_base_and_is_told_once(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}overrides:\n  model.decoder.n_layers: 0\n{SHALLOW}")
    found = mistakes(path)
    assert len(found) == 1
    assert found[0].startswith(f"{path}:4: model.decoder.n_layers: ")


def test_a_base_that_is_none_says_so_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, f"base: char_gtp\n{SHALLOW}")
    assert mistakes(path)[0].startswith(f"{path}:1: base: ")


def test_two_variants_of_one_name_are_refused(tmp_path: Path) -> None:
    text = (
        f"{HEAD}variants:\n  n_layers=1: {{model.d_model: 8}}\nfactors:\n  model.decoder.n_layers: [1, 3]\n"
    )
    path = written(tmp_path, text)
    assert mistakes(path) == [
        f"{path}:6: factors.model.decoder.n_layers: two variants are called 'n_layers=1'"
    ]


def test_two_variants_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    text = f"{HEAD}variants:\n  a b: {{model.decoder.n_layers: 1}}\n  a_b: {{model.decoder.n_layers: 3}}\n"
    assert "'a_b' and 'a b' would share the folder a_b; rename one" in mistakes(written(tmp_path, text))[0]


def test_a_variant_that_is_the_base_is_named_and_not_trained() -> None:
    plan = plan_of(factors={"model.decoder.n_layers": [1, 2]}, variants={})
    assert [each.name for each in plan.variants] == ["base", "n_layers=1"]
    assert plan.same == (("n_layers=2", "base"),)


def test_a_mapping_that_replaces_more_than_was_meant_is_told_how_to_be_written(tmp_path: Path) -> None:
    text = f"{HEAD}variants:\n  shallow: {{model: {{decoder: {{n_layers: 1}}}}}}\n"
    told = mistakes(written(tmp_path, text))[0]
    assert "variant 'shallow': missing key" in told
    assert told.endswith(
        "; the mapping replaces all of model: to change keys of it alone, write model.decoder"
    )


def test_a_variant_that_is_another_is_named_and_not_trained() -> None:
    shallow = {"model.decoder.n_layers": 1}
    plan = plan_of(variants={"shallow": shallow, "flat": shallow})
    assert [each.name for each in plan.variants] == ["base", "shallow"]
    assert plan.same == (("flat", "shallow"),)
    assert "not trained again: flat (as shallow)" in plan_text(plan)


def test_only_the_base_again_is_refused() -> None:
    with pytest.raises(SpecError, match="every variant is the base itself; nothing would be compared"):
        plan_of(variants={"same": {"model.decoder.n_layers": 2}})


def test_the_base_may_be_a_file_beside_the_ablation_or_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = Path(__file__).parents[2] / "presets" / "char_gpt.yaml"
    (tmp_path / "mine.yaml").write_text(
        preset.read_text(encoding="utf-8").replace("d_model: 128", "d_model: 64", 1)
    )
    path = written(tmp_path, "base: mine.yaml\n" + SHALLOW)
    assert make_plan(read(path)).base.run.model.d_model == 64  # type: ignore[attr-defined]
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.yaml").write_text((tmp_path / "mine.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path.parent)
    path = written(tmp_path, "base: run\n" + SHALLOW)
    assert make_plan(read(path)).base.run.model.d_model == 64  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "given",
    [
        {"variants": {"a": {"training.seed": 3}}},
        {"factors": {"training.seed": [1, 2]}, "variants": {}},
        {"overrides": {"training.seed": 3}},
    ],
)
def test_seeds_are_given_as_seeds_alone(given: Any) -> None:
    with pytest.raises(SpecError, match=r"training\.seed: every variant is trained with each of `seeds`"):
        make_plan(read(small(**given)))


def test_seeds_are_no_override_of_the_command_line() -> None:
    with pytest.raises(SpecError, match=r"training\.seed: every variant is trained with each of `seeds`"):
        make_plan(read(small()), given=["training.seed=3"])


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[31m", "x" * 121])
def test_a_name_that_cannot_be_shown_is_none(name: str) -> None:
    with pytest.raises(SpecError, match="is no name; it takes 1 to 120 characters, none of them"):
        make_plan(read(small(variants={name: {"model.d_model": 16}})))


def test_a_long_name_has_a_folder_of_its_own() -> None:
    long, longer = slug("x" * 200), slug("x" * 201)
    assert long != longer
    assert len(long) < 100


def test_a_list_of_one_wrong_item_is_not_told_to_be_too_short() -> None:
    with pytest.raises(SpecError) as caught:
        make_plan(read(small(seeds=[10**11])))
    assert str(caught.value) == f"seeds.0: must be at most 4294967295, got {10**11}"
    with pytest.raises(SpecError, match=r"seeds: must be a list of at least 1, got \[\]"):
        make_plan(read(small(seeds=[])))


@pytest.mark.parametrize("seeds", [0, -2, "abc", 2.5, True, 10**11])
def test_what_is_no_number_of_seeds_says_what_would_be(seeds: Any) -> None:
    with pytest.raises(SpecError, match="seeds: must be how many seeds, from 1 to 1000, or a list of seeds"):
        make_plan(read(small(seeds=seeds)))


def test_a_width_that_is_no_key_is_the_mistake_of_by(tmp_path: Path) -> None:
    text = "base: char_gpt\nscale: tiny\nvariants:\n  r: {model.position: rotary}\nmatch: parameters\nby: model.nope\n"
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=r"a\.yaml:6: by: .*model\.nope: no width is allowed there"):
        make_plan(read(tmp_path / "a.yaml"))


def test_a_score_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    text = "base: char_gpt\nscale: tiny\nvariants:\n  r: {model.position: rotary}\nmetric: bleu\n"
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=r"a\.yaml:5: metric: 'bleu' is no score of this task"):
        plan_ablation(tmp_path / "a.yaml")


def test_numbers_that_are_none_are_told_as_such(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}factors:\n  training.schedule.peak_lr: [.nan, .inf, -.inf]\n")
    assert [line.rpartition(": ")[2] for line in mistakes(path)] == [
        "must be a finite number, got .nan; for example 0.00025, as in gpt2",
        "must be a finite number, got .inf; for example 0.00025, as in gpt2",
        "must be a finite number, got -.inf; for example 0.00025, as in gpt2",
    ]


def test_a_mistake_that_a_whole_grid_shares_is_told_once_and_many_end_the_look(tmp_path: Path) -> None:
    grid = "grid: {model.d_model: [16, 24, 32], model.decoder.n_layer: [1, 2]}\n"
    (line,) = mistakes(written(tmp_path, HEAD + grid))
    assert "variant 'd_model=16 n_layer=1': unknown key" in line
    path = written(tmp_path, f"{HEAD}factors: {{model.d_model: [{', '.join(map(str, range(-300, 0)))}]}}\n")
    found = mistakes(path)
    assert len(found) == 102
    assert found[-1] == "variants: 199 further variants are not looked at"


@pytest.mark.parametrize("name", ["grid", "tune"])
def test_more_combinations_than_anybody_can_train_are_refused_before_they_are_made(name: str) -> None:
    keys = {f"model.key_{i}": list(range(1000)) for i in range(7)}
    with pytest.raises(SpecError, match=rf"{name}: 1,000{',000' * 6} combinations; at most 10,000"):
        make_plan(read(small(**{name: keys})))


def test_wrong_overrides_of_the_file_have_its_line_and_those_of_the_command_line_none(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}overrides: {{model.d_model: -1, nope: 3}}\n{SHALLOW}")
    with pytest.raises(SpecError) as caught:
        make_plan(read(path), given=["model.decoder.n_layers=0"])
    width, unknown, given = sorted(str(caught.value).splitlines())
    assert width.startswith(f"{path}:3: model.d_model: must be at least 1")
    assert unknown.startswith(f"{path}:3: override 'nope=3': unknown top-level key")
    assert given.startswith("override 'model.decoder.n_layers=0': model.decoder.n_layers: must be at least 1")
