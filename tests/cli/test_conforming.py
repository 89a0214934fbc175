"""conform: a table of the laws that a part keeps, and an exit code that says whether it keeps all."""

from __future__ import annotations

import json

import pytest

PARTS = '''
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import nn

from registry import Spec
from zoo.conformance import plain_part
from zoo.kinds import FFN


class LeakySpec(Spec):
    type: Literal["leaky"] = "leaky"
    expected_failures: ClassVar[Mapping[str, str]] = {EXPECTED}


@FFN.register("leaky", spec=LeakySpec, examples=[{}])
class Leaky(nn.Module):
    """Adds what stood before."""

    def __init__(self, *, d_model: int) -> None:
        super().__init__()
        self.map = nn.Linear(d_model, d_model)

    def forward(self, x):
        return self.map(x) + x.roll(1, dims=1)


def linear(d_model):
    return nn.Linear(d_model, d_model)


described = plain_part("norm", linear, run=lambda module, x: module(x) * float("nan"))
number = 3
'''


@pytest.fixture
def parts(tmp_path):
    def write(expected="{}"):
        path = tmp_path / "my_parts.py"
        path.write_text(PARTS.replace("{EXPECTED}", expected), encoding="utf-8")
        return str(path)

    return write


def test_a_part_that_keeps_its_laws_is_told_law_by_law(zoo):
    result = zoo("conform", "norm/rms_norm")
    assert result.exit_code == 0, result.stderr
    first, *rows, last = result.stdout.splitlines()
    assert first.startswith("norm/rms_norm: ")
    assert any(
        row.startswith("passed ") and "state_round_trips: The state dict carries all" in row for row in rows
    )
    assert last.endswith((" not applicable", " passed"))


def test_what_chooses_among_its_parameters_is_given_enough_to_choose_from(zoo):
    result = zoo("conform", "ffn/mixture_of_experts")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[0] == "ffn/mixture_of_experts: 4 specs"
    assert "slow: asked for by --slow" in result.stdout


def test_a_broken_law_is_told_with_what_was_found_and_ends_with_1(zoo, parts):
    result = zoo("conform", "ffn/leaky", "--plugin", parts())
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "each_position_by_itself" in line]
    assert lines[at].startswith("failed ")
    assert lines[at + 1].strip().startswith("ffn/leaky-0: reordered positions: they differ by ")
    assert lines[-2] == "ffn/leaky-0 is {type: leaky}"
    assert lines[-1].startswith("4 failed, ")


def test_a_part_that_cannot_be_built_is_told_once(zoo, tmp_path):
    text = PARTS.replace("{EXPECTED}", "{}").replace("self.map = nn", "self.map = nothing.nn")
    (tmp_path / "my_parts.py").write_text(text, encoding="utf-8")
    result = zoo("conform", "ffn/leaky", "--plugin", "my_parts.py")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1].startswith("failed ")
    assert lines[1].endswith("it_can_be_built: The part can be built.")
    at = f"{tmp_path / 'my_parts.py'}:23"
    assert lines[2] == (
        "    ffn/leaky-0: it cannot be built, so that no law can be tried: "
        f"{at}: NameError: name 'nothing' is not defined"
    )
    assert lines[3:] == ["ffn/leaky-0 is {type: leaky}", "1 failed"]


def test_an_expected_failure_of_no_law_is_told_the_nearest_before_any_is_tried(zoo):
    result = zoo("conform", "norm/rms_norm", "--expect", "determinstic=why")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "--expect: no law that is tried is called 'determinstic'; did you mean 'evaluation_is_deterministic'?\n"
    )
    result = zoo("conform", "norm/rms_norm", "--expect", "norm/rms_norm-7: state_round_trips=why")
    assert "no part that is tried is called 'norm/rms_norm-7'; did you mean 'norm/rms_norm-" in result.stderr


KNOWN = {
    "each_position_by_itself",
    "in_an_encoder_padding_is_ignored",
    "in_a_decoder_the_future_is_hidden",
    "in_a_decoder_cached_equals_full",
}


def test_a_failure_that_is_expected_must_come(zoo, parts):
    words = [word for law in KNOWN for word in ("--expect", f"{law}=it looks back")]
    result = zoo("conform", "ffn/leaky", "--plugin", parts(), *words)
    assert result.exit_code == 0, result.stdout
    assert "    it looks back (reordered positions: they differ by " in result.stdout
    result = zoo("conform", "ffn/leaky", "--plugin", parts(), *words, "--expect", "state_round_trips=no")
    assert result.exit_code == 1
    assert "it was expected to fail: no" in result.stdout


def test_a_spec_documents_which_laws_its_part_breaks(zoo, parts):
    file = parts(expected=repr(dict.fromkeys(sorted(KNOWN), "it looks back")))
    result = zoo("conform", "ffn/leaky", "--plugin", file, "--json")
    assert result.exit_code == 0, result.stdout
    found = json.loads(result.stdout)
    assert {each["law"] for each in found if each["result"] == "expected failure"} == KNOWN


def test_a_plain_module_is_made_of_d_model_or_described(zoo, parts):
    result = zoo("conform", "--module", f"{parts()}:linear", "--kind", "ffn")
    assert result.exit_code == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[0].endswith(":linear: a plain module")
    result = zoo("conform", "--module", f"{parts()}:described")
    assert result.exit_code == 1
    assert "the output has values that are not finite" in result.stdout


def test_the_laws_of_a_kind_are_told_with_a_sentence_each(zoo):
    rows = json.loads(zoo("conform", "--laws", "attention", "--json").stdout)
    told = {row["law"]: row["text"] for row in rows}
    assert told["future_tokens_have_no_influence"].startswith("Under a causal mask, no output before")
    assert all(text.endswith(".") for text in told.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "exactly one of KIND/NAME, --module FILE:NAME and --laws KIND is needed"),
        (("ffn/mpl",), "did you mean 'mlp'"),
        (("ffn",), "which ffn? say ffn/NAME"),
        (("mlp",), "did you mean 'ffn/mlp'"),
        (("task/translation",), "there are no laws of kind 'task'"),
        (("--laws", "norms"), "did you mean 'norm'"),
        (("ffn/mlp", "--expect", "state_round_trip=x"), "did you mean 'state_round_trips'"),
        (("ffn/mlp", "--expect", "state_round_trips"), "a law and the reason are needed"),
        (("ffn/mlp", "--expect", "state_round_trips= "), "a law and the reason are needed"),
        (("--module", "my_parts.py"), "a file and a name in it are needed"),
        (("--module", "none.py:X", "--kind", "ffn"), "no such plugin file"),
        (("--module", "{parts}:linear"), "which kind is it?"),
        (("--module", "{parts}:linaer", "--kind", "ffn"), "did you mean 'linear'"),
        (("--module", "{parts}:number", "--kind", "ffn"), "has no module called 'number'"),
        (("--module", "{parts}:linear", "--kind", "layout"), "no plain module can be tried as 'layout'"),
    ],
)
def test_words_that_name_nothing_are_refused(zoo, parts, words, message):
    file = parts()
    result = zoo("conform", *(word.format(parts=file) for word in words))
    assert result.exit_code == 2
    assert message in result.stderr


def test_fields_make_the_part_that_is_tried(zoo):
    result = zoo("conform", "attention/restricted", "radius=2", "n_heads=2")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[0] == "attention/restricted: 1 spec"
    result = zoo("conform", "attention/multi_head", "n_heads=5")
    assert result.exit_code == 2
    assert "cannot be tried at d_model 12 with that: n_heads (5) must divide d_model (12)" in result.stderr
    assert (
        zoo("conform", "norm/rms_norm", "epsilon=1").stderr == "epsilon: unknown key; did you mean 'eps'?\n"
    )
    stray = zoo("conform", "norm/rms_norm", "layer_norm")
    assert stray.stderr == "one KIND/NAME is tried at a time, without layer_norm; fields read KEY=VALUE\n"


def test_scaling_tells_by_which_power_of_the_length_a_part_grows(zoo):
    result = zoo("conform", "attention/multi_head", "n_heads=2", "kernel=eager", "--scaling")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[-1].endswith("what it keeps as length^1.9")
    rows = json.loads(
        zoo("conform", "attention/restricted", "radius=1", "n_heads=2", "--scaling", "--json").stdout
    )
    assert [row["length"] for row in rows] == [128, 256, 512, 1024]
    kept = [row["kept_kB"] for row in rows]
    assert kept[-1] == pytest.approx(8 * kept[0], rel=0.1)
    refused = zoo("conform", "position/rotary", "--scaling")
    assert refused.stderr == "position/rotary-0: --scaling needs a part that takes a sequence of vectors\n"
    assert "tries no laws" in zoo("conform", "norm/rms_norm", "--scaling", "--slow").stderr
