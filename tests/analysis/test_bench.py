"""What is measured, and how it is put together; not how fast it is."""

import itertools

import pytest

import zoo
from registry import SpecError
from zoo.analysis import bench as benches
from zoo.analysis.bench import Measured, Spread, bench, doubt, exponent


def tiny(name):
    return zoo.load(name, scale="tiny").model


@pytest.fixture
def clock(monkeypatch):
    """A clock on which whatever is timed takes two seconds."""
    ticks = itertools.count(step=2)
    monkeypatch.setattr(benches.time, "perf_counter", lambda: next(ticks))


def test_speeds_are_tokens_by_seconds_and_operations_are_those_of_the_formulas(clock):
    spec = tiny("quickstart")
    (found,) = bench({"a": spec}, lengths=[12], batch=3, repeats=2)
    assert found.training == Spread(18, 18, 18)  # 3 sequences of 12 in 2 s
    assert found.training_flops == zoo.cost(spec, batch=3, length=12).training / 2
    assert found.decoding == Spread(12, 12, 12)  # the last 8 of each
    assert (found.title, found.rows, found.length) == ("a", 3, 12)


def test_models_take_turns_at_each_length_and_the_first_turn_is_not_counted(monkeypatch):
    turns = []
    real = benches._Case.take_turn

    def noted(self, *, counts):
        turns.append((self.length, self.contender.title, counts))
        real(self, counts=counts)

    monkeypatch.setattr(benches._Case, "take_turn", noted)
    bench({"a": tiny("quickstart"), "b": tiny("char_gpt")}, lengths=[5, 9], repeats=2)
    rounds = [(n, title, counts) for n in (5, 9) for counts in (False, True, True) for title in "ab"]
    assert turns == rounds


@pytest.mark.parametrize(
    ("name", "writes"),
    [
        ("mixtral_8x7b", True),
        ("whisper_tiny", True),
        ("tagger_small", False),
        ("vit_base", False),
        ("spoken_digits", False),
        ("series_decoder", False),
    ],
)
def test_models_of_every_kind_are_measured_and_those_that_write_tokens_decode(name, writes):
    (found,) = bench({name: tiny(name)}, lengths=[11], batch=2, repeats=1)
    assert found.training.low > 0
    assert (found.decoding is not None) is writes
    assert found.peak_bytes is None or found.peak_bytes >= 0


def test_a_sequence_longer_than_the_positions_is_refused():
    with pytest.raises(SpecError, match="char: its positions end at 64, before a length of 65"):
        bench({"char": zoo.load("char_gpt", scale="tiny").model}, lengths=[8, 65])


def test_no_repeat_is_refused():
    with pytest.raises(ValueError, match=r"repeats \(0\) must be at least 1"):
        bench({}, lengths=[8], repeats=0)


def test_time_that_grows_as_the_square_of_the_length_has_exponent_two():
    def measured(length):
        speed = Spread(7.0 / length, 0, 0)  # tokens a second: length tokens in length² / 7 seconds
        return Measured("a", 1, length, speed, 0, None, None)

    assert exponent([measured(n) for n in (10, 20, 80)]) == pytest.approx(2)
    assert exponent([measured(10)]) is None


def test_an_exponent_of_three_lengths_and_two_turns_has_no_such_doubt():
    assert doubt(n_lengths=3, n_turns=2) == ""
    assert doubt(n_lengths=2, n_turns=5) == "of two lengths only, which a power law always fits"
    assert doubt(n_lengths=5, n_turns=1) == "of one turn, so nobody knows how much it varies"
