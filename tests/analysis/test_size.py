"""Parameters by formula equal those of what is built: every part, every preset, every example."""

import time
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

import presets
import zoo
from registry import Kind, Spec
from zoo.analysis.size import n_parameters, parts_of
from zoo.assembly.build import build
from zoo.assembly.build import n_parameters as counted
from zoo.components.ffn.mlp import MLP, MLPSpec
from zoo.kinds import ATTENTION, EMBEDDING, FFN, HEAD, LAYOUT, NORM, POSITION
from zoo.sizes import Batch, n_kept, own_method
from zoo.sizes import n_parameters as by_formula

D, H = 12, 3
NORMS = (NORM.examples("layer_norm")[0], NORM.examples("rms_norm")[0], NORM.examples("scale_norm")[0])
WIDE = EMBEDDING.entry("tokens").spec.model_validate({"vocab_size": 31})
NARROW = EMBEDDING.entry("tokens").spec.model_validate({"vocab_size": 29, "d_embedding": 5})
EMBEDDINGS = [dict.fromkeys(("source", "target", "tokens", "inputs"), spec) for spec in (WIDE, NARROW)]
CONTEXTS = {
    ATTENTION: [{"d_model": D}],
    FFN: [{"d_model": D}],
    NORM: [{"d_model": D}],
    POSITION: [{"d_model": D, "n_heads": H}],
    LAYOUT: [{"d_model": D, "norms": NORMS}, {"d_model": D, "norms": NORMS[:1] * 2}],
    EMBEDDING: [{"d_model": D}],
    HEAD: [{"d_model": D, "embeddings": embeddings} for embeddings in EMBEDDINGS],
}
SPECS = sorted((Path(__file__).parents[2] / "examples" / "specs").glob("*.yaml"))


def built_size(kind, spec, context):
    """Parameters of the built part, those of the embeddings it is handed left out."""
    given = dict(context)
    others = set()
    if kind is LAYOUT:
        given["dropout"] = 0.1
    if kind is HEAD:
        built = {name: EMBEDDING.build(one, d_model=D) for name, one in context["embeddings"].items()}
        others = {id(p) for part in built.values() for p in part.parameters()}
        given["embeddings"] = built
    return sum(p.numel() for p in kind.build(spec, **given).parameters() if id(p) not in others)


def part_cases():
    for kind, contexts in CONTEXTS.items():
        for name in kind.names():
            for i, spec in enumerate(kind.examples(name)):
                for j, context in enumerate(contexts):
                    if kind is not LAYOUT or not getattr(spec, "shared_norm", False) or j:
                        yield pytest.param(kind, spec, context, id=f"{kind.name}-{name}-{i}-{j}")


@pytest.mark.parametrize(("kind", "spec", "context"), list(part_cases()))
def test_the_formula_of_a_part_counts_what_is_built(kind, spec, context):
    assert own_method(spec, "n_parameters") is not None
    assert by_formula(kind, spec, **context) == built_size(kind, spec, context)


@pytest.mark.parametrize("name", [*presets.names(), *SPECS], ids=lambda name: Path(name).name)
def test_the_formulas_of_a_model_count_what_is_built(name):
    for scale in (None, "tiny"):
        model = zoo.load(name, scale=scale).model
        assert n_parameters(model) == counted(build(model, device="meta"))


def test_untied_separate_embeddings_and_layers_that_differ_are_counted():
    attention = {"type": "multi_head", "n_heads": 3}
    layer = {"self_attention": attention, "ffn": {"type": "mlp", "d_ff": 7}}
    rotary_own = {"position": {"type": "relative_buckets", "n_buckets": 6, "max_distance": 9}}
    model = zoo.load(
        {
            "model": {
                "type": "encoder_decoder",
                "d_model": D,
                "source": {"type": "tokens", "vocab_size": 31},
                "target": {"type": "tokens", "vocab_size": 29},
                "position": {"type": "learned", "max_len": 40},
                "encoder": {
                    "layer": layer,
                    "layers": [{"repeat": 3}, {"cycle": [{}, rotary_own], "repeat": 2}],
                },
                "decoder": {"n_layers": 5, "layer": {**layer, "cross_attention": attention}},
                "head": {"type": "language_model", "predicts": "target", "tied": False},
            }
        }
    ).model
    assert n_parameters(model) == counted(build(model))


class OwnSpec(MLPSpec):
    type: Literal["own"] = "own"


class Own(MLP):
    """A feed-forward network whose further weights its spec says nothing of."""

    n_built = 0

    def __init__(self, **fields) -> None:
        super().__init__(**fields)
        type(self).n_built += 1
        self.gain = nn.Parameter(torch.ones(17))


def test_a_part_that_says_no_formula_of_its_own_is_built_once_and_counted(monkeypatch):
    kind = Kind("own_ffn", context=("d_model",))

    @kind.register("own", spec=OwnSpec)
    def own(
        *, d_model: int, d_ff: int, activation: str, bias: bool, dropout: float, output_dropout: float
    ) -> Own:
        return Own(
            d_model=d_model,
            d_ff=d_ff,
            activation=activation,
            bias=bias,
            dropout=dropout,
            output_dropout=output_dropout,
        )

    for _ in range(3):
        assert by_formula(kind, OwnSpec(d_ff=5), d_model=D) == 2 * 5 * D + 5 + D + 17
    assert Own.n_built == 1
    # What it keeps is guessed from the outputs that its matrices give.
    assert n_kept(kind, OwnSpec(d_ff=5), d_model=D, batch=Batch(7, 7)) == 7 * (D + (10 * D + 5 + D + 17) // D)


class LineSpec(Spec):
    """No part: what it says is said for those that extend it."""

    def n_parameters(self, *, d_model: int) -> int:
        return 3 * d_model


class LinedSpec(LineSpec):
    type: Literal["lined"] = "lined"


class LinedTwiceSpec(LinedSpec):
    type: Literal["lined_twice"] = "lined_twice"


def test_a_formula_is_inherited_of_a_base_that_is_no_part_and_through_no_part():
    formula = own_method(LinedSpec(), "n_parameters")
    assert formula is not None
    assert formula(d_model=5) == 15
    assert own_method(LinedTwiceSpec(), "n_parameters") is None


class StretchSpec(Spec):
    type: Literal["stretch"] = "stretch"


def test_a_head_without_a_formula_counts_no_matrix_that_it_shares():
    kind = Kind("own_head", context=("d_model", "embeddings"))

    @kind.register("stretch", spec=StretchSpec)
    def stretch(*, d_model: int, embeddings: dict[str, nn.Module]) -> nn.Module:
        own = nn.Linear(d_model, 3)
        own.shared = embeddings["source"].weight
        return own

    assert by_formula(kind, StretchSpec(), d_model=D, embeddings=EMBEDDINGS[0]) == 3 * D + 3


def test_a_formula_that_takes_other_names_than_it_is_called_with_is_refused():
    class WrongSpec(Spec):
        type: Literal["wrong"] = "wrong"

        def n_parameters(self, *, width: int) -> int:
            return width

    message = r"WrongSpec\.n_parameters is called as n_parameters\(d_model=\), but takes: width"
    with pytest.raises(TypeError, match=message):
        FFN.register("wrong", spec=WrongSpec)(lambda *, d_model: None)


ABSURD = [
    ["model.d_model=1000000"],
    ["model.encoder.layer.self_attention={type: multi_head, n_heads: 1024, d_k: 65536}"],
    ["model.position={type: learned, max_len: 10000000}"],
    ["model.encoder.layer.ffn={type: mixture_of_experts, n_experts: 4096, top_k: 2}", "model.encoder.n_layers=1000"],
    ["model.encoder.layer.ffn.d_ff=1000000", "model.d_model=1000000", "model.source.vocab_size=10000000"],
]  # fmt: skip


@pytest.mark.parametrize("overrides", ABSURD, ids=lambda words: words[0][:40])
def test_counting_an_absurd_model_takes_no_time(overrides):
    from registry import parse
    from zoo.assembly.encoder_decoder import EncoderDecoderSpec

    model = parse(EncoderDecoderSpec, presets.read("transformer_base", overrides=overrides).data["model"])
    start = time.perf_counter()
    assert n_parameters(model) > 10**9
    assert time.perf_counter() - start < 0.2  # building it would take minutes, or all memory


def test_parts_are_named_by_their_path_and_counted_with_their_repeats():
    model = zoo.load("quickstart").model
    found = {part.path: part for part in parts_of(model)}
    assert found["model.encoder.layer.ffn"].n_times == 2
    assert found["model.encoder.layer.ffn"].n_parameters == 2 * (2 * 128 * 512 + 512 + 128)
    assert {"model.source", "model.head", "model.position", "model.decoder.layer.cross_attention"} <= set(
        found
    )
