"""Every shipped preset: loads, says its source, and trains two steps at its tiny scale.

The paper's presets are counted here by its formulas; those of published families in tests/interop/, against the
reference's own configuration.
"""

import itertools
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import presets
import zoo
from registry import dump, parse
from zoo.analysis.ledger import LEDGER
from zoo.analysis.size import n_parameters
from zoo.data.bad_lines import BadLines
from zoo.interop.family import families
from zoo.kinds import CORPUS, DECODING
from zoo.run.spec import RunSpec

# Worked out by hand from the paper's formulas: per encoder layer four D×D projections, two D×F matrices with biases and
# two norms; per decoder layer four projections and a norm more; one V×D matrix for source, target and output.
COUNTS = {
    "transformer_base": 63_045_632,  # the paper: 65 million, with a vocabulary it gives as "about 37000"
    "transformer_big": 214_171_648,  # the paper: 213 million
    "transformer_restricted": 63_045_632,  # a radius has no weights
    "multi30k_small": 7_568_384,
    "quickstart": 1_178_624,
    "parser_paper": 134_168_576,
}


def by_formula(model):
    D = model.d_model
    F, N = model.encoder.layer.ffn.d_ff, model.encoder.n_layers
    ffn = 2 * D * F + F + D
    encoder_layer = 4 * D * D + ffn + 2 * 2 * D
    decoder_layer = 8 * D * D + ffn + 3 * 2 * D
    n_words = model.source.vocab_size + getattr(
        model.target, "vocab_size", 0
    )  # none of its own where it is shared
    return n_words * D + N * (encoder_layer + decoder_layer)


EXAMPLES = Path(__file__).parents[2] / "examples" / "specs"
FAMILIES = [name for name in presets.names() if name not in COUNTS]
# Of our own, worked out by hand, where not in their files: V×D, per layer four D×D, two D×F with biases and two
# norms, a norm, and the head.
OWN = {
    "char_gpt": 804_608,
    "patch_tst": 81_728,
    # A patch of 24 with a bias, per layer four D×D and two D×F with biases and two norms, a norm, the head.
    "series_decoder": 25 * 64
    + 2 * (4 * (64 * 64 + 64) + 2 * 64 * 128 + 128 + 64 + 4 * 64)
    + 2 * 64
    + 65 * 24,
    "vit_small_fashion": 306_826,
    "long_range": 11 * 64 + 2 * (4 * 64**2 + 2 * 64 * 256 + 256 + 64 + 4 * 64) + 2 * 64,
    # V×D; a layer of an LSTM has 4·D·(2·D + 2), with a seed 2·D·(D + 1) more.
    "seq2seq_lstm": 8000 * 256 + 6 * 4 * 256 * 514 + 3 * 512 * 257,
    # Two GRUs of half the width; the decoder's with a context, a seed, an output of three and four maps and an energy.
    "seq2seq_bahdanau": 8000 * 256
    + 2 * 3 * 128 * (256 + 128 + 2)
    + 3 * 256 * (3 * 256 + 2)
    + 256 * 257
    + 256 * (3 * 256 + 1)
    + 4 * 256**2
    + 256,
    "seq2seq_luong": 8000 * 256 + 6 * 4 * 256 * 514 + 3 * 512 * 257 + 256 * (2 * 256 + 1),
    "conv_seq2seq": 8000 * 256 + 2 * 1024 * 256 + 8 * (3 * 256 + 1) * 512 + 4 * 4 * 256**2,
    # Both stacks have an LSTM (of half the width in each direction, or whole), a convolution, a depthwise one, an
    # attention, four ffns and norms; the decoder four attentions and norms more.
    "hybrid": 8000 * 256
    + 2 * 4 * 128 * (256 + 128 + 2)
    + 4 * 256 * 514
    + 2 * ((3 * 256 + 1) * 512 + 257 * 512 + 257 * 256 + 4 * 7 + 4 * 256**2)
    + 4 * 4 * 256**2
    + 8 * (2 * 256 * 1024 + 1024 + 256)
    + (8 + 12 + 2) * 2 * 256,
    "tagger_small": 4000 * 128
    + 2 * (4 * 128**2 + 2 * 128 * 256 + 256 + 128 + 4 * 128)
    + 2 * 128
    + 128 * 9
    + 9,
    "text_classifier_small": 16000 * 128
    + 2 * (4 * 128**2 + 2 * 128 * 256 + 256 + 128 + 4 * 128)
    + 2 * 128
    + 128 * 4
    + 4,
    "long_text_classifier": 8000 * 128
    + 2 * (4 * 128**2 + 2 * 128 * 256 + 256 + 128 + 4 * 128)
    + 2 * 128
    + 128 * 4
    + 4,
    # Two convolutions of three frames, per layer four D×D and two D×F with biases and two norms, a norm, the head.
    "spoken_digits": (3 * 40 + 1) * 96
    + (3 * 96 + 1) * 96
    + 3 * (4 * (96 * 96 + 96) + 2 * 96 * 192 + 192 + 96 + 4 * 96)
    + 2 * 96
    + 97 * 7,
}


def test_every_preset_is_counted_here_or_by_the_certificates_of_its_family():
    published = {published.preset for family in families() for published in family.published}
    rows = {row.preset for row in LEDGER}  # counted in tests/analysis/test_ledger.py
    assert set(presets.names()) - published == set(COUNTS) | set(OWN) | rows


@pytest.mark.parametrize("name", OWN)
def test_a_preset_of_our_own_has_the_parameters_of_its_sum(name):
    assert n_parameters(zoo.load(name).model) == OWN[name]


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_by_formula_equal_those_of_the_model(name):
    run = zoo.load(name)
    assert by_formula(run.model) == n_parameters(run.model) == COUNTS[name]


@pytest.mark.parametrize("name", presets.names())
def test_dump_loads_to_an_equal_spec(name):
    run = zoo.load(name)
    assert parse(RunSpec, json.loads(json.dumps(dump(run)))) == run


@pytest.mark.parametrize("name", presets.names())
def test_a_tiny_scale_is_there_and_every_file_says_its_source(name):
    document = presets.read(name)
    assert "tiny" in document.scales
    assert document.description


@pytest.mark.parametrize("name", presets.names())
def test_at_its_tiny_scale_it_has_a_task_and_warms_up_within_its_steps(name):
    tiny = presets.read(name, scale="tiny").data
    assert tiny["task"]["type"]
    assert tiny["training"]["schedule"].get("warmup_steps", 0) < tiny["training"]["max_steps"]


def test_papers_recipe_is_in_the_base_preset():
    run = zoo.load("transformer_base")
    assert run.training.optimizer.betas == (0.9, 0.98)
    assert run.training.optimizer.eps == 1e-9
    assert run.training.schedule.warmup_steps == 4000
    assert (run.task.label_smoothing, run.training.average_last) == (0.1, 5)
    assert run.generation.length_penalty.alpha == 0.6
    assert run.model.encoder.layer.self_attention.dropout == 0.0  # the paper drops no attention weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A few hundred pairs of the embedded grammar as the files that presets expect."""
    folder = tmp_path_factory.mktemp("pairs")
    spec = CORPUS.entry("grammar").spec(n_train=200, n_dev=12, n_test=12)
    corpus = CORPUS.build(spec)
    for split in ("train", "dev", "test"):
        rows = list(itertools.islice(corpus.rows(split, bad_lines=BadLines("error")), 200))
        for side, language in (("source", "en"), ("target", "de")):
            text = "".join(row[side] + "\n" for row in rows)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    return folder


def example(model):
    """Random inputs of a model and its masks."""
    if model.type == "encoder_decoder":
        source, mask = model.source.example_inputs(3)
        return (source, torch.randint(5, model.slots["target"].vocab_size, (3, 5))), {"source_mask": mask}
    inputs, mask = (model.tokens if model.type == "decoder_only" else model.inputs).example_inputs(3)
    return (inputs,), {"mask": mask}


@pytest.mark.parametrize(
    "name",
    [*FAMILIES, EXAMPLES / "bert_as_decoder.yaml", EXAMPLES / "gpt2_with_encoder.yaml"],
    ids=lambda name: Path(name).name,
)
def test_a_family_takes_two_steps_and_generates_at_its_tiny_scale(name):
    run = zoo.load(name, scale="tiny")
    torch.manual_seed(1)
    model = zoo.build(run.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    given, masks = example(run.model)
    losses = []
    for _ in range(2):
        out = model(*given, **masks)
        losses.append((out - 1).square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[1].isfinite()
    assert losses[1] != losses[0]
    if run.generation is not None:
        source = given[0][:2, :4] if given[0].dim() == 2 else given[0][:2]
        found = DECODING.build(run.generation.model_copy(update={"max_length": 6}))(model.eval(), source)
        assert len(found) == 2
        assert all(len(hypotheses[0].tokens) <= 6 for hypotheses in found)


SIBLINGS = {
    name
    for family in families()
    for name in [published.preset for published in family.published if published.preset][1:]
}
"""Presets of whose family another is there before."""


@pytest.mark.parametrize(
    "name",
    [
        *(
            # Siblings, and the rows of the paper's tables, have the form, data and task of another.
            pytest.param(name, marks=[pytest.mark.slow] if "/" in name or name in SIBLINGS else [], id=name)
            for name in presets.names()
        ),
        pytest.param(EXAMPLES / "modern_base.yaml", id="modern_base.yaml"),
    ],
)
def test_it_trains_two_steps_at_its_tiny_scale(name, folder, tmp_path):
    overrides = ["training.max_steps=2", "training.precision=fp32"]
    task = zoo.load(name, scale="tiny").task
    if hasattr(task, "validation_sentences"):
        overrides.append("task.validation_sentences=4")
    if task.data.type == "parallel_text":
        overrides += [
            f"task.data.folder={folder}",
            "task.data.train=train",
            "task.data.dev=dev",
            "task.data.test=test",
        ]
    out = zoo.train(zoo.load(name, *overrides, scale="tiny"), tmp_path / "run", progress=False)
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps
    assert list(out.glob("checkpoints/step-2*/model.safetensors"))


def one_of_each_task():
    """The first preset of each task."""
    found = {}
    for name in presets.names():
        found.setdefault(presets.read(name, scale="tiny").data["task"]["type"], name)
    return sorted(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", one_of_each_task())
def test_at_its_tiny_scale_it_is_trained_and_evaluated_in_less_than_a_minute_of_a_processor(name, tmp_path):
    words = ["train", name, "--scale", "tiny", "--quiet", "--out", str(tmp_path / "run")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", *words], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 60
