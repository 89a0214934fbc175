"""From a source to a document: names, paths, extends, scales, overrides, and where each key came from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import presets
from presets import Document, PresetError, document

BASE = """\
# A small base.
#
# For tests.

# Not of the head.
model:
  type: encoder_decoder
  d_model: 12
  norm: layer_norm
  attention: {type: multi_head, n_heads: 3}
  layers:
    - {ffn: {type: mlp, d_ff: 5}}
    - {ffn: glu}
training:
  betas: [0.9, 0.98]
  clip_norm: null
scales:
  tiny: {model.d_model: 6, model.attention.n_heads: 1}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def _write(text: str) -> str:
    Path("my.yaml").write_text(text)
    return "my.yaml"


def _get(found: Document, path: str) -> Any:
    value: Any = found.data
    for key in path.split("."):
        value = value[int(key) if isinstance(value, list) else key]
    return value


def _refusal(source: Any, **options: Any) -> str:
    with pytest.raises(PresetError) as caught:
        presets.read(source, **options)
    message = str(caught.value)
    assert all(line.isprintable() for line in message.splitlines())
    assert len(message) < 300 + len(", ".join(presets.names()))
    return message


@pytest.mark.usefixtures("folder")
def test_a_file_is_read_with_its_name_description_and_scales() -> None:
    found = presets.read("base.yaml")
    assert found.name == "base"
    assert found.description == "A small base.\n\nFor tests."
    assert found.scales == ["tiny"]
    assert set(found.data) == {"model", "training"}
    assert found.data["training"] == {"betas": [0.9, 0.98], "clip_norm": None}


def test_every_preset_is_listed_and_read() -> None:
    names = presets.names()
    assert "transformer_base" in names
    assert names == sorted(names)
    for name in names:
        found = presets.read(name)
        assert found.name == name
        assert found.description
        for scale in found.scales:
            assert presets.read(name, scale=scale).data != found.data
        places = [found.locate(key) for key in found.data]  # what it extends has its own
        assert any(place.startswith(f"presets/{name}.yaml:") for place in places)


@pytest.mark.usefixtures("folder")
def test_a_run_folder_is_read_from_its_spec() -> None:
    Path("runs/first").mkdir(parents=True)
    assert _refusal("runs/first").startswith("runs/first: this folder holds no spec.yaml")
    Path("runs/first/spec.yaml").write_text("model: {d_model: 7}\n")
    found = presets.read("runs/first")
    assert (found.name, found.data) == ("first", {"model": {"d_model": 7}})
    assert found.locate("model.d_model") == "runs/first/spec.yaml:1"


def test_a_mapping_is_read_and_left_as_it_was() -> None:
    source = {"model": {"betas": (0.9, 1), "norm": "x"}, "scales": {"tiny": {"model.d_model": 3}}}
    found = presets.read(source, overrides=["model.norm.eps=1", "model.betas.0=0.5"], scale="tiny")
    assert found.data == {"model": {"betas": [0.5, 1], "norm": {"type": "x", "eps": 1}, "d_model": 3}}
    assert source == {"model": {"betas": (0.9, 1), "norm": "x"}, "scales": {"tiny": {"model.d_model": 3}}}
    assert (found.name, found.locate("model")) == ("", "")


def test_what_is_wrong_with_a_part_as_a_whole_stands_where_an_override_has_set_a_key_of_it() -> None:
    source = {"model": {"layer": {"n_heads": 2, "d_k": 4}, "betas": [0.9, 1]}}
    found = presets.read(source, overrides=["model.layer.n_heads=3", "model.layer.d_k=5", "model.betas.0=2"])
    assert found.locate("model.layer") == "override 'model.layer.d_k=5', override 'model.layer.n_heads=3'"
    assert found.locate("model.betas") == "override 'model.betas.0=2'"
    assert found.locate("model") == ""


def test_a_mapping_wrong_in_form_is_refused() -> None:
    assert _refusal({"model": {3: 1}}) == "model: the key 3 is no string"
    endless: dict[str, Any] = {}
    endless["model"] = endless
    assert "nesting over 50 levels" in _refusal(endless)
    assert _refusal({"modle": 1}).startswith(
        "the given mapping: modle: unknown top-level key; did you mean 'model'?"
    )


# Names and paths


@pytest.mark.usefixtures("folder")
def test_an_unknown_name_is_answered_as_a_name_and_as_a_path() -> None:
    assert _refusal("transformer_bsae").startswith(
        "transformer_bsae: no preset has this name, and there is no such file or run folder; "
        "did you mean 'transformer_base'? (70 are known: zoo list presets)"
    )
    assert _refusal("no_such.yaml").startswith(
        "no_such.yaml: no such file; a preset has no ending: zoo list presets"
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["trans\0former_base", "x" * 10_000, "a\nb", "\x1b[31m", ""])
def test_a_hostile_name_touches_no_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*arguments: Any) -> bool:
        raise AssertionError(arguments)

    monkeypatch.setattr(Path, "is_file", touched)
    monkeypatch.setattr(Path, "is_dir", touched)
    assert "70 are known: zoo list presets" in _refusal(name)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "name", ["../transformer_base", "presets/transformer_base", "../../etc/passwd", "x" * 300]
)
def test_a_name_is_looked_up_and_never_made_into_a_path(name: str) -> None:
    assert "known: " in _refusal(name)


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_no_yaml_or_cannot_be_read_is_refused() -> None:
    Path("notes.txt").write_text("model: {}")
    assert _refusal("notes.txt") == "notes.txt: is no spec; a spec's file name ends in .yaml"
    Path("big.yaml").write_bytes(b"#" * 50_000_000)
    assert _refusal("big.yaml").startswith("big.yaml: is over 1,000,000 bytes")


@pytest.mark.usefixtures("folder")
def test_wrong_top_level_keys_are_refused_together() -> None:
    lines = _refusal(_write("modle: {}\ntask: {}\ntrain: {}\n")).splitlines()
    assert lines == [
        "my.yaml:1: modle: unknown top-level key; did you mean 'model'? "
        "(known: extends, generation, model, scales, task, training)",
        "my.yaml:3: train: unknown top-level key; did you mean 'training'? "
        "(known: extends, generation, model, scales, task, training)",
    ]


# Overrides


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["model.d_model=64"], "model.d_model", 64),
        (["training.lr=1e-4"], "training.lr", 1e-4),
        (["training.mode=no"], "training.mode", "no"),
        (["training.betas=[0.5, 1e-3]"], "training.betas", [0.5, 1e-3]),
        (["training.betas.1=0.5"], "training.betas", [0.9, 0.5]),
        (["training.clip_norm=1.0"], "training.clip_norm", 1.0),
        (["training.text='a=b'"], "training.text", "a=b"),
        (["training.expression=a=b"], "training.expression", "a=b"),
        (["task.data.folder=x"], "task", {"data": {"folder": "x"}}),
        (["training.clip_norm.max=3"], "training.clip_norm", {"max": 3}),
        (["model.norm=rms_norm"], "model.norm", "rms_norm"),
        (["model.norm.eps=1e-5"], "model.norm", {"type": "layer_norm", "eps": 1e-5}),
        (["model.norm=rms_norm", "model.norm.eps=1"], "model.norm", {"type": "rms_norm", "eps": 1}),
        (["model.attention.type=restricted"], "model.attention", {"type": "restricted"}),
        (["model.attention.type=multi_head"], "model.attention", {"type": "multi_head", "n_heads": 3}),
        (["model.attention=restricted"], "model.attention", "restricted"),
        (["model.attention={type: x, a: 1}"], "model.attention", {"type": "x", "a": 1}),
        (
            ["model.attention.radius=4", "model.attention.type=restricted"],
            "model.attention",
            {"type": "restricted", "radius": 4},
        ),
        (["model.layers.0.ffn.d_ff=7"], "model.layers.0.ffn", {"type": "mlp", "d_ff": 7}),
        (["model.layers.1.ffn.d_ff=7"], "model.layers.1.ffn", {"type": "glu", "d_ff": 7}),
        (["model.d_model=1", "model.d_model=2"], "model.d_model", 2),
        (["model.d_model= 64 "], "model.d_model", 64),
        (["training.clip_norm= null"], "training.clip_norm", None),
        (["training.text=/data/run #1"], "training.text", "/data/run #1"),
        (["training.text=#1"], "training.text", "#1"),
        (["training.text=a # b: c"], "training.text", "a # b: c"),
        (["training.text= a "], "training.text", " a "),
        (["training.text=' a # b'"], "training.text", " a # b"),
        (["training.text=http://a:1/b"], "training.text", "http://a:1/b"),
        (["training.text=~/a - b"], "training.text", "~/a - b"),
        (["training.text={}"], "training.text", {}),
        (["training.text=[{a: 1}, 'b # c']"], "training.text", [{"a": 1}, "b # c"]),
        (['training.text="a\\tb"'], "training.text", "a\tb"),
    ],
)
def test_an_override_sets_its_path(overrides: list[str], path: str, value: Any) -> None:
    found = presets.read("base.yaml", overrides=overrides)
    assert _get(found, path) == value
    assert type(_get(found, path)) is type(value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("d_model", "override 'd_model': must be a dotted path, '=' and a value, such as model.d_model=256"),
        ("=3", "override '=3': must be a dotted path"),
        ("model..d_model=3", "override 'model..d_model=3': must be a dotted path"),
        ("model.d_model=", "override 'model.d_model=': has no value; write null"),
        (
            "modle.d_model=3",
            "override 'modle.d_model=3': unknown top-level key 'modle'; did you mean 'model'?",
        ),
        ("scales.tiny=3", "override 'scales.tiny=3': unknown top-level key 'scales'"),
        ("model.d_model.x=3", "override 'model.d_model.x=3': model.d_model is 12, without keys"),
        (
            "model.layers.2.ffn=mlp",
            "override 'model.layers.2.ffn=mlp': model.layers is a list of 2 and has no item '2'; the first",
        ),
        (
            "training.betas.-1=3",
            "override 'training.betas.-1=3': training.betas is a list of 2 and has no item '-1'",
        ),
        ("training.betas." + "0" * 5000 + "=3", "override 'training.betas.0000"),
        ("model" + ".a" * 50 + "=3", "override 'model.a.a"),
        ("training.betas.first=3", "override 'training.betas.first=3': training.betas is a list of 2"),
        ("training.betas.²=3", "override 'training.betas.²=3': training.betas is a list of 2"),
        ("training.betas=[0.9", "override 'training.betas=[0.9': not YAML ("),
        ("training.betas=&a [1]", "override 'training.betas=&a [1]': the anchor '&a'"),
        (
            "task.cache='/data' #1",
            "override 'task.cache='/data' #1': '#1' behind the value; where it belongs",
        ),
        ("training.betas=[1] # 2", "override 'training.betas=[1] # 2': '# 2' behind the value"),
        ("task.ä={ö: ü} #1", "override 'task.ä={ö: ü} #1': '#1' behind the value"),
        ("task.data=a: b", "override 'task.data=a: b': a mapping stands between braces: {a: b}"),
        ("task.data=a:", "override 'task.data=a:': a mapping stands between braces"),
        ("task.data=- a", "override 'task.data=- a': '-' at the start says something else in YAML; put text"),
        ("task.data=--- a", "override 'task.data=--- a': '---' at the start"),
        ("task.data=...", "override 'task.data=...': '...' at the start"),
        ("task.data=| a", "override 'task.data=| a': '|' at the start"),
        ("task.data=>", "override 'task.data=>': '>' at the start"),
        ("task.data=%a", "override 'task.data=%a': '%' at the start"),
        ("task.data=*.de", "override 'task.data=*.de': '*' at the start"),
        ("task.data=!a b", "override 'task.data=!a b': the tag '!a'"),
        ("task.data=a\nb", "override 'task.data=a\\nb': a line break; write it as \\n between double quotes"),
        ("task.data='a\n b'", "override 'task.data='a\\n b'': a line break"),
        (
            "task.data={type:grammar}",
            "override 'task.data={type:grammar}': 'type:grammar'; write 'type: grammar'",
        ),
        ("model.d_model=" + "9" * 5000, "override 'model.d_model=99"),
    ],
)
def test_an_override_that_cannot_be_set_says_why(override: str, message: str) -> None:
    assert _refusal("base.yaml", overrides=[override]).startswith(message)


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1))
def test_of_plain_text_in_an_override_nothing_is_ever_dropped(text: str) -> None:
    try:
        value = presets.read({}, overrides=[f"task.cache={text}"]).data["task"]["cache"]
    except PresetError:
        return
    if isinstance(value, str) and text.strip()[0] not in "'\"":
        assert value == text


@pytest.mark.usefixtures("folder")
def test_a_key_is_located_where_it_was_written_last() -> None:
    overrides = ["model.attention.type=restricted", "training.betas=[1, 2]", "task.data.folder=x"]
    found = presets.read("base.yaml", overrides=overrides, scale="tiny")
    places = {
        "": "base.yaml:1",
        "model": "base.yaml:6",
        "model.norm": "base.yaml:9",
        "model.norm.eps": "base.yaml:9",
        "model.layers.1.ffn": "base.yaml:13",
        "model.layers.1.ffn.type": "base.yaml:13",
        "model.d_model": "base.yaml:18",
        "model.attention.radius": "override 'model.attention.type=restricted'",
        "model.attention.n_heads": "override 'model.attention.type=restricted'",
        "training.betas.1": "override 'training.betas=[1, 2]'",
        "training.clip_norm": "base.yaml:16",
        "task.data": "override 'task.data.folder=x'",
        "generation": "base.yaml:1",
    }
    assert {path: found.locate(path) for path in places} == places


# Scales


@pytest.mark.usefixtures("folder")
def test_a_scale_is_applied_before_the_overrides() -> None:
    found = presets.read("base.yaml", scale="tiny", overrides=["model.d_model=9"])
    assert found.data["model"]["d_model"] == 9
    assert found.data["model"]["attention"] == {"type": "multi_head", "n_heads": 1}


def test_what_a_scale_puts_another_component_in_the_place_of_is_known() -> None:
    model = {"a": {"type": "x", "n": 1}, "b": "x", "c": {"type": "x"}, "d": {"e": "x"}, "n": 3}
    tiny = {"model.a.type": "y", "model.b": {"type": "y", "n": 2}, "model.c": {"type": "x", "n": 2}, "model.d.e.n": 2,
            "model.n": 4, "model.f.g": "y"}  # fmt: skip
    source = {"model": model, "scales": {"tiny": tiny}}
    found = presets.read(source, scale="tiny")
    assert found.replaced == {("model", "a"): {"type": "x", "n": 1}, ("model", "b"): {"type": "x"}}
    assert presets.read(source).replaced == {}
    for value in (found.replaced["model", "a"], {"a": [1, {"b": None}], "c": "yes, no: 'x'"}, "y", 1.5):
        text = presets.to_flow(value)
        assert "\n" not in text
        assert presets.read({"model": {}}, overrides=[f"model.a={text}"]).data == {"model": {"a": value}}


@pytest.mark.usefixtures("folder")
def test_an_unknown_scale_is_answered_with_the_nearest() -> None:
    assert _refusal("base.yaml", scale="tinny") == (
        "base.yaml: no scale is called 'tinny'; did you mean 'tiny'? (known: tiny)"
    )
    assert _refusal(_write("model: {}\n"), scale="tiny") == "my.yaml: no scale is called 'tiny'; known: none"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ("3", "my.yaml:1: scales: must be a mapping; write `scales: {tiny:"),
        ("{tiny: 3}", "my.yaml:1: scales.tiny: must be a mapping"),
        (
            "{tiny: {modle.d_model: 3}}",
            "my.yaml:1: scales.tiny: unknown top-level key 'modle'; did you mean 'model'?",
        ),
        ("{tiny: {model..d_model: 3}}", "my.yaml:1: scales.tiny: 'model..d_model' is no dotted path"),
        ("{tiny: {model: {d_model: 3}}}", "my.yaml:1: scales.tiny: 'model' is no dotted path"),
    ],
)
def test_scales_wrong_in_form_are_refused_even_when_not_used(scales: str, message: str) -> None:
    assert _refusal(_write(f"scales: {scales}\nmodel: {{}}\n")).startswith(message)


@pytest.mark.usefixtures("folder")
def test_a_scale_that_does_not_fit_says_where_it_stands() -> None:
    source = _write("model: {d_model: 3}\nscales:\n  tiny:\n    model.d_model.x: 1\n")
    assert _refusal(source, scale="tiny").startswith("my.yaml:4: model.d_model is 3, without keys")


# extends


@pytest.mark.usefixtures("folder")
def test_a_file_that_extends_another_differs_where_it_says() -> None:
    source = _write(
        "# Mine.\nextends: base.yaml\nmodel:\n  d_model: 24\n  norm: {eps: 1e-3}\n"
        "  attention: {type: restricted, radius: 2}\n  layers: [{ffn: glu}]\n"
        "training: {lr: 1}\nscales:\n  tiny: {model.d_model: 3}\n  mid: {model.d_model: 7}\n"
    )
    found = presets.read(source)
    assert found.data == {
        "model": {
            "type": "encoder_decoder",
            "d_model": 24,
            "norm": {"type": "layer_norm", "eps": 1e-3},
            "attention": {"type": "restricted", "radius": 2},
            "layers": [{"ffn": "glu"}],
        },
        "training": {"betas": [0.9, 0.98], "clip_norm": None, "lr": 1},
    }
    assert (found.name, found.description, found.scales) == ("my", "Mine.", ["tiny", "mid"])
    assert presets.read(source, scale="tiny").data["model"]["d_model"] == 3
    places = (
        "model.type",
        "model.d_model",
        "model.attention.n_heads",
        "model.norm.eps",
        "model.layers.1",
        "training.betas",
    )
    assert [found.locate(path) for path in places] == [
        "base.yaml:7", "my.yaml:4", "my.yaml:6", "my.yaml:5", "my.yaml:7", "base.yaml:15",
    ]  # fmt: skip


@pytest.mark.usefixtures("folder")
def test_the_same_type_keeps_the_base_s_keys_and_a_name_drops_them() -> None:
    same = presets.read(_write("extends: base.yaml\nmodel: {attention: {type: multi_head, bias: true}}\n"))
    assert same.data["model"]["attention"] == {"type": "multi_head", "n_heads": 3, "bias": True}
    name = presets.read(_write("extends: base.yaml\nmodel: {attention: multi_head}\n"))
    assert name.data["model"]["attention"] == "multi_head"


@pytest.mark.usefixtures("folder")
def test_extends_is_relative_to_the_file_that_says_it() -> None:
    Path("deep").mkdir()
    Path("deep/my.yaml").write_text("extends: ../base.yaml\n")
    assert presets.read("deep/my.yaml").data == presets.read("base.yaml").data
    assert presets.read(_write("extends: transformer_base\n")).data == presets.read("transformer_base").data
    assert presets.read({"extends": "base.yaml"}).data == presets.read("base.yaml").data


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "transformer_bse",
            "my.yaml:2: extends: no preset is named 'transformer_bse'; did you mean 'transformer_base'?",
        ),
        (
            "../../../etc/passwd",
            "my.yaml:2: extends: no preset is named '../../../etc/passwd'; 70 are known: ",
        ),
        ("runs", "my.yaml:2: extends: no preset is named 'runs'"),
        (
            "no_such.yaml",
            "my.yaml:2: extends: no_such.yaml: no such file",
        ),
        ("my.yaml", "my.yaml:2: extends: a file cannot extend itself; name what it starts from"),
        ("[a, b]", "my.yaml:2: extends: must be one preset's name"),
        ("broken.yaml", "my.yaml:2: extends: broken.yaml:1: the key 'a' a second time"),
    ],
)
def test_a_base_that_cannot_be_used_says_why(value: str, message: str) -> None:
    Path("runs").mkdir()
    Path("broken.yaml").write_text("{a: 1, a: 2}")
    assert _refusal(_write(f"model: {{}}\nextends: {value}\n")).startswith(message)


@pytest.mark.usefixtures("folder")
def test_a_wrong_key_of_the_base_is_located_in_the_base() -> None:
    Path("base.yaml").write_text("\nmodle: {}\n")
    assert _refusal(_write("extends: base.yaml\n")).startswith("base.yaml:2: modle: unknown top-level key")


def test_reading_imports_no_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import presets; print(time.perf_counter() - start); "
        "presets.read('transformer_base', overrides=['model.d_model=3']); "
        "print([m for m in ('torch', 'lightning', 'pydantic', 'zoo', 'registry') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    seconds, heavy = answer.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 2  # 0.05 s on an idle machine; this one is shared


def test_the_settable_keys_are_top_level_keys() -> None:
    assert set(document.SETTABLE_KEYS) | {"scales", "extends"} == set(presets.TOP_LEVEL_KEYS)
