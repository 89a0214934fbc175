"""Laws as tests of anybody's: what they are called, which are expected to fail, and that those must."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from registry import SpecError
from zoo.components.ffn.mlp import MLPSpec
from zoo.conformance import findings, parametrize_with_laws, plain_part
from zoo.conformance.choosing import parts_named
from zoo.conformance.trials import Law, Part, require


class Neighbourly(nn.Linear):
    def forward(self, x):
        return super().forward(x) + x.roll(1, dims=1)


def neighbourly(d_model):
    return Neighbourly(d_model, d_model)


NEIGHBOURLY = plain_part("ffn", neighbourly, name="neighbourly")
WHY = {"each_position_by_itself": "it adds the vector before"}


@parametrize_with_laws(["ffn/mlp", "norm/rms_norm"])
def test_laws_of_registered_parts(law):
    law()


@parametrize_with_laws([MLPSpec(d_ff=5), NEIGHBOURLY], expected_failures={
    "ffn/neighbourly: each_position_by_itself": WHY["each_position_by_itself"],
})  # fmt: skip
def test_laws_of_a_spec_and_of_a_plain_module(law):
    law()


class OfTheBatch(nn.Module):
    """Batch normalisation: in evaluation each row by itself, in training not."""

    def __init__(self, d_model):
        super().__init__()
        self.norm = nn.BatchNorm1d(d_model)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


def test_a_norm_over_the_batch_is_found_in_training():
    found = {each.law: each for each in findings({"batch_norm": plain_part("norm", OfTheBatch)})}
    broken = found["a_row_alone_equals_the_row_in_a_batch"]
    assert broken.result == "failed"
    assert "in training" in str(broken)


def ids(parts, **given):
    @parametrize_with_laws(parts, **given)
    def marked(law):
        law()

    return {case.id: [mark.name for mark in case.marks] for case in marked.pytestmark[0].args[1]}


def test_each_law_of_each_part_is_a_test_of_its_own():
    found = ids(["ffn/mlp", MLPSpec(d_ff=5), NEIGHBOURLY], expected_failures=WHY)
    assert "ffn/mlp-0-each_position_by_itself" in found
    assert found["ffn/mlp-1-state_round_trips"] == []
    assert found["ffn/neighbourly-each_position_by_itself"] == ["xfail"]
    assert "ffn/neighbourly-in_a_decoder_the_future_is_hidden" not in found


def test_a_test_of_a_law_that_does_not_apply_is_left_out():
    found = ids([parts_named("mixer/lstm")[0]["mixer/lstm-0"].spec])
    assert "mixer/lstm-0-state_equals_full" in found
    assert "mixer/lstm-0-the_memory_has_influence" not in found


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"each_positoin_by_itself": "why"}, "did you mean 'each_position_by_itself'"),
        ({"ffn/other: each_position_by_itself": "why"}, "no part that is tried is called"),
        ({"each_position_by_itself": " "}, "has no reason"),
    ],
)
def test_an_expected_failure_of_nothing_is_refused(expected, message):
    with pytest.raises(ValueError, match=message):
        parametrize_with_laws([NEIGHBOURLY], expected_failures=expected)


def test_an_unknown_part_is_named_with_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'mlp'"):
        parametrize_with_laws(["ffn/mpl"])
    with pytest.raises(SpecError, match="there are no laws of kind 'task'"):
        parametrize_with_laws(["task/translation"])


def of(expected=None, part=NEIGHBOURLY):
    found = findings({"mine": part}, expected_failures=expected)
    return {each.law: each for each in found}


def test_a_finding_says_what_was_found_and_whether_it_was_expected():
    failed = of()["each_position_by_itself"]
    assert (failed.result, failed.holds) == ("failed", False)
    assert failed.detail.startswith("reordered positions: they differ by ")
    known = of(WHY)["each_position_by_itself"]
    assert (known.result, known.holds) == ("expected failure", True)
    assert known.detail.startswith("it adds the vector before (reordered positions")
    kept = of({"state_round_trips": "it was said so"})["state_round_trips"]
    assert (kept.result, kept.holds) == ("unexpected pass", False)


def test_an_error_of_the_parts_own_breaks_the_law_and_one_line_says_which():
    def wrong(module, x):
        raise KeyError("no\nsuch")

    part = plain_part("ffn", neighbourly, run=wrong)
    assert of(part=part)["state_round_trips"].detail == "KeyError: 'no\\nsuch'"


def test_a_law_says_why_it_does_not_apply():
    found = of()["in_an_encoder_padding_is_ignored"]
    assert (found.result, found.detail) == (
        "not applicable",
        "it has no spec, so that no model can be made of it",
    )


def test_a_law_needs_what_it_names():
    law = Law(lambda part: require(False, "tried"), needs=("cache",))
    assert law.unless(NEIGHBOURLY) == "it is not said what it keeps from call to call"
    assert law.unless(Part(NEIGHBOURLY.kind, None, NEIGHBOURLY.make)) == ""


OUTSIDERS = """
from torch import nn
from zoo.conformance import parametrize_with_laws, plain_part
KEPT = plain_part("ffn", lambda d: nn.Linear(d, d), name="kept")
BROKEN = plain_part("ffn", lambda d: nn.Linear(d, d), run=lambda m, x: m(x).cumsum(1), name="broken")

@parametrize_with_laws([KEPT, BROKEN], expected_failures={"ffn/broken: each_position_by_itself": "it sums"})
def test_known(law): law()

@parametrize_with_laws([KEPT], expected_failures={"each_position_by_itself": "a mistake"})
def test_wrong(law): law()
"""


def test_in_a_project_of_anybodys_what_was_to_fail_must_fail(tmp_path):
    (tmp_path / "test_mine.py").write_text(OUTSIDERS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "FAILED test_mine.py::test_wrong[ffn/kept-each_position_by_itself]" in done.stdout
    assert "1 failed" in done.stdout
    assert "1 xfailed" in done.stdout


def test_data_of_a_plain_module_is_what_its_kind_promises():
    seen = []

    def run(module, query, memory, allowed):
        seen.append((query.shape, memory.shape, allowed.shape, allowed.dtype))
        return module(query)

    part = plain_part("attention", neighbourly, run=run, roles=("cross",))
    of(part=part)
    assert ((2, 5, 12), (2, 7, 12), (2, 5, 7), torch.bool) in seen
    with pytest.raises(ValueError, match="no plain module can be tried as 'layout'"):
        plain_part("layout", neighbourly)
    with pytest.raises(ValueError, match=r"has no role 'cros' \(known: self, causal, cross\)"):
        plain_part("attention", neighbourly, roles=("cros",))
