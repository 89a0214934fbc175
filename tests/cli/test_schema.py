"""The schema for editors accepts what is read, and refuses keys that are not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest

import presets
from presets.yaml12 import read_text
from registry import Kind, Spec, json_schema, partial, resolve
from zoo.cli.schema import file_schema
from zoo.run.spec import RunSpec, load, to_yaml

ROOT = Path(presets.__file__).parents[1]
FILES = {
    path.stem: path for folder in ("presets", "examples/specs") for path in (ROOT / folder).glob("*.yaml")
}

LAYER = {"self_attention": {"type": "multi_head", "n_heads": 2}, "ffn": {"type": "mlp", "d_ff": 12}}
TOKENS = {"type": "tokens", "vocab_size": 9}
HEAD = {"type": "language_model", "predicts": "target"}
TASK = {"type": "translation", "data": {"type": "grammar"}}
COPY: dict[str, Any] = {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}}
PAIR: dict[str, Any] = {
    "type": "encoder_decoder",
    "d_model": 8,
    "source": TOKENS,
    "target": {"share": "source"},
    "encoder": {"n_layers": 1, "layer": LAYER},
    "decoder": COPY,
    "head": HEAD,
}
BASE = "transformer_base.model.encoder"
MLP = "gpt2.model.decoder.layer.ffn"
SEVERAL = (
    "quickstart",
    "gemma2_2b",
    "longformer_base",
    "gpt2_with_encoder",
    "bert_as_decoder",
    "modern_base",
)
"""Files of many forms."""
ONE_OF_EACH_TASK = {
    presets.read(name).data["task"]["type"]: name for name in presets.names() if name in FILES
}.values()


@pytest.fixture(scope="module")
def schema() -> Any:
    found = file_schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def raw(name: str) -> Any:
    """A file as it stands, neither extended nor resolved."""
    return read_text(FILES[name].read_bytes(), name).data


def is_read(document: Any) -> bool:
    """Whether the reader and the models accept its form; not whether its parts fit together."""
    try:
        RunSpec.model_validate(presets.read(document).data)
    except ValueError:
        return False
    return True


def mappings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each mapping."""
    if isinstance(value, dict):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from mappings(child, (*path, key))


def changed(document: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
    """A copy, and the mapping in it at that path."""
    whole = part = copy.deepcopy(document)
    for key in path:
        part = part[key]
    return whole, part


@pytest.mark.parametrize("name", FILES)
def test_every_preset_and_example_is_accepted_as_it_stands(schema: Any, name: str) -> None:
    schema.validate(raw(name))


@pytest.mark.parametrize("name", FILES)
def test_every_preset_and_example_is_accepted_resolved(schema: Any, name: str) -> None:
    schema.validate(read_text(to_yaml(load(FILES[name])).encode(), name).data)


@pytest.mark.parametrize(
    "name",
    [
        # Of each task one in the default suite: the same kinds of mappings stand in the others.
        pytest.param(name, marks=[] if name in SEVERAL or name in ONE_OF_EACH_TASK else [pytest.mark.slow])
        for name in FILES
    ],
)
def test_a_misspelt_key_is_refused_wherever_it_stands(schema: Any, name: str) -> None:
    document = raw(name)
    for path in mappings(document):
        if path[:1] != ("scales",) or len(path) == 2:  # scales have any names, and values of their own
            wrong, part = changed(document, path)
            part["n_heda"] = 3
            assert not schema.is_valid(wrong), path


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name == "gemma2_2b" else []) for name in SEVERAL],
)
def test_whatever_is_left_out_is_refused_only_where_it_is_missed(schema: Any, name: str) -> None:
    document = raw(name)
    for path in mappings(document):
        for key in changed(document, path)[1]:
            less, part = changed(document, path)
            del part[key]
            assert schema.is_valid(less) or not is_read(less), (path, key)


def test_what_is_missed_in_a_file_without_shorthands_is_refused(schema: Any) -> None:
    document = read_text(to_yaml(load("gpt2")).encode(), "gpt2").data
    n = 0
    for section, value in document.items():
        # Beside a small model, for the whole is gone through each time.
        piece = {**pair(), section: value}
        for path in mappings(value, (section,)):
            for key in changed(piece, path)[1]:
                less, part = changed(piece, path)
                del part[key]
                assert schema.is_valid(less) == is_read(less), (path, key)
                n += not is_read(less)
    assert n > 5


def pair(**changes: Any) -> dict[str, Any]:
    return {"model": {**PAIR, **changes}}


def stack(**changes: Any) -> dict[str, Any]:
    return pair(encoder=changes)


SMALL = {"layer": {"ffn": {"d_ff": 5}}}
ACCEPTED: dict[str, Any] = {
    "a pair": pair(),
    "an embedding of its own": pair(target=TOKENS),
    "a decoder of its own": pair(
        decoder={"n_layers": 1, "layer": {**LAYER, "cross_attention": "multi_head"}}
    ),
    "like the encoder with changes": pair(decoder={**COPY, "n_layers": 3, **SMALL}),
    "like the encoder in groups": pair(
        decoder={**COPY, "n_layers": None, "layers": [{"repeat": 2, **SMALL}]}
    ),
    "groups": stack(layers=[{"repeat": 2, "layer": LAYER}, {"cycle": [LAYER, LAYER]}]),
    "groups and a null": stack(layers=[{"layer": LAYER, "cycle": None}], layer=None, n_layers=None),
    "a layer and groups": stack(layer=LAYER, layers=[SMALL, {"repeat": 3}]),
    "a layer and a cycle": stack(
        layer=LAYER, layers=[{"cycle": [{"norm": "rms_norm"}, {"ffn": {"d_ff": 4}}]}]
    ),
    "a layer in parts": stack(layer={"ffn": "mlp"}, layers=[{"layer": {"self_attention": "multi_head"}}]),
    "a preset's part": pair(encoder={"like": BASE}),
    "a preset's part with changes": pair(encoder={"like": BASE, **SMALL}),
    "a preset's part in another place": pair(head={"like": "gpt2.model.head", "predicts": "target"}),
    "a preset's part in a part": pair(encoder={"n_layers": 2, "layer": {"like": "gpt2.model.decoder.layer"}}),
    "a preset's part in a change": pair(encoder={"like": BASE, "layer": {"ffn": {"like": MLP}}}),
    "a preset's part in a list": stack(layers=[{"layer": {"like": "bert_base.model.encoder.layer"}}]),
    "a preset's model": {"model": {"like": "gpt2.model", "d_model": 96}},
    "a preset's training": {**pair(), "training": {"like": "quickstart.training", "max_steps": 7}},
    "a preset extended": {
        "extends": "transformer_base",
        "model": {"decoder": {"cross_attention": {"n_heads": 4}}},
    },
    "a preset extended by a name": {"extends": "transformer_base", "model": {"position": "rotary"}},
    "scales": {**pair(), "scales": {"tiny": {"model.d_model": 4, "generation": "greedy"}}},
    "word vectors": {**pair(), "task": {**TASK, "word_vectors": {"source": "v.vec"}}},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_form_that_is_read_is_accepted(schema: Any, name: str) -> None:
    assert is_read(ACCEPTED[name])
    schema.validate(ACCEPTED[name])


REFUSED: dict[str, Any] = {
    "another share": pair(target={"share": "target"}),
    "a share of a source": pair(source={"share": "source"}),
    "a share with more": pair(target={"share": "source", "vocab_size": 9}),
    "like another part": pair(decoder={"like": "encodr"}),
    "an encoder like the encoder": pair(encoder={"like": "encoder"}),
    "a copy with a misspelt key": pair(decoder={**COPY, "n_layer": 3}),
    "cross-attention of a stack": pair(
        decoder={"n_layers": 1, "layer": LAYER, "cross_attention": "multi_head"}
    ),
    "no layers": stack(n_layers=2),
    "no number": stack(layer=LAYER),
    "a number and groups": stack(n_layers=2, layer=LAYER, layers=[{"repeat": 3}]),
    "groups that lack what no layer says": stack(layers=[{"layer": {"ffn": "mlp"}}]),
    "an empty group alone": stack(layers=[{"repeat": 2}]),
    "a cycle that lacks what no layer says": stack(layers=[{"cycle": [LAYER, {"ffn": "mlp"}]}]),
    "both forms": stack(layers=[{"layer": LAYER, "cycle": [LAYER]}]),
    "no groups": stack(layers=[]),
    "a misspelt key of a group": stack(layer=LAYER, layers=[{"layer": {"fnn": {}}}]),
    "a misspelt key of a cycle": stack(layer=LAYER, layers=[{"cycle": [{"ffn": {"d_fff": 3}}]}]),
    "no preset": pair(encoder={"like": "transformer_bsae.model.encoder"}),
    "a preset without a path": pair(encoder={"like": "transformer_base"}),
    "a preset's part with a misspelt key": pair(encoder={"like": BASE, "layer": {"fnn": {}}}),
    "a preset's part in a list with a misspelt key": stack(
        layers=[{"layer": {"like": BASE + ".layer", "fnn": {}}}]
    ),
    "a file like a part": {"like": "gpt2.model", **pair()},
    "no model": {"generation": "greedy"},
    "no preset extended": {"extends": "transformer_bsae"},
    "a preset extended with a misspelt key": {"extends": "transformer_base", "model": {"encodr": {}}},
    "a scale without a dotted path": {**pair(), "scales": {"tiny": {"model": {"d_model": 4}}}},
    "a scale of no section": {**pair(), "scales": {"tiny": {"modle.d_model": 4}}},
    "misspelt word vectors": {**pair(), "task": {**TASK, "word_vectors": {"sorce": "v.vec"}}},
    "a component without its type": pair(head={"predicts": "target"}),
    "a component without its key": pair(source={"type": "tokens"}),
    "a name of one that needs keys": pair(source="tokens"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_is_not_read_is_refused(schema: Any, name: str) -> None:
    assert not is_read(REFUSED[name])
    assert not schema.is_valid(REFUSED[name])


def test_the_command_prints_it(zoo: Any) -> None:
    assert json.loads(zoo("schema").stdout) == json.loads(json.dumps(file_schema()))


PLUGIN = '''
from typing import Literal
from torch import Tensor, nn
from registry import Spec
from zoo.kinds import NORM

class FadeSpec(Spec):
    type: Literal["fade"] = "fade"
    by: float

@NORM.register("fade", spec=FadeSpec, examples=[{"by": 0.5}])
class Fade(nn.Module):
    """Makes every value smaller."""
    def __init__(self, *, by: float, d_model: int) -> None:
        super().__init__()
        self.by = by
    def forward(self, x: Tensor) -> Tensor:
        return x * self.by
'''


def test_a_plugins_components_are_in_it(zoo: Any, tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PLUGIN, encoding="utf-8")
    found = jsonschema.Draft202012Validator(json.loads(zoo("schema", "--plugin", "parts.py").stdout))
    fade = stack(n_layers=1, layer={**LAYER, "norm": {"type": "fade", "by": 0.5}})
    assert found.is_valid(fade)
    del fade["model"]["encoder"]["layer"]["norm"]["by"]
    assert not found.is_valid(fade)


PART = Kind("hollow_part")


class NutSpec(Spec):
    type: Literal["nut"] = "nut"
    size: int
    inner: Annotated[Spec | None, PART] = None
    many: tuple[Annotated[Spec, PART], ...] = ()


class BoxSpec(Spec):
    part: Annotated[Spec, PART]


PART.register("nut", spec=NutSpec)(lambda *, size, inner, many: None)


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        ({}, True),
        ({"part": {"size": 3}}, True),
        ({"part": {"inner": {"inner": {"size": 3}}}}, True),
        ({"part": {"many": [{"type": "nut", "size": 3}]}}, True),
        ({"part": {"many": [{"type": "nut"}]}}, False),
        ({"part": {"type": "bolt"}}, False),
        ({"part": {"inner": {"inner": {"siez": 3}}}}, False),
        ({"part": {"size": "3"}}, False),
        ({"further": 1}, True),
        ({"further": 2}, False),
        ({"fruther": 1}, False),
    ],
    ids=str,
)
def test_a_partial_mapping_has_any_of_the_keys_and_no_others(value: Any, is_valid: bool) -> None:
    schema = {"anyOf": [partial({"$ref": "#/$defs/BoxSpec"}, further={"const": 1})]}
    box = json_schema(BoxSpec)
    found = resolve({**schema, "$defs": {**box["$defs"], "BoxSpec": box}})
    assert jsonschema.Draft202012Validator(found).is_valid(value) == is_valid
