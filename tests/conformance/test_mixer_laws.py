"""The laws of mixers, each seen red: a part that breaks it is caught."""

from dataclasses import replace

import pytest

from registry import parse
from zoo.components.mixer._recurrent import Recurrent
from zoo.conformance.laws import laws, part_of
from zoo.kernels.cache import MemoryCache, StateCache
from zoo.kernels.strips import Strips
from zoo.kinds import MIXER

LSTM = {"type": "lstm", "d_hidden": 5}


def must_fail(law, match, data=LSTM):
    spec = parse(MIXER.entry(data["type"]).spec, data)
    part = part_of(MIXER, spec)
    check = {each.name: each.check for each in laws(part)}[law]
    with pytest.raises(AssertionError, match=match):
        check(part)


def spoil(monkeypatch, change):
    true = Recurrent.forward
    monkeypatch.setattr(
        Recurrent, "forward", lambda self, x, *, mask, position, cache: change(true, self, x, mask, cache)
    )


def plain(true, self, x, mask, cache):
    return true(self, x, mask=mask, position=None, cache=cache)


def look_ahead(*given):
    return plain(*given) + given[2].roll(-1, dims=1)


def of_the_batch(*given):
    return plain(*given) + given[2].mean(dim=0)


def of_the_first_place(*given):
    return plain(*given) + given[2][:, :1]


def by_length(*given):
    return plain(*given) + given[2].shape[1]


def alone(true, self, x, mask, cache):
    return self.output(x[..., :5])


def without(name):
    return lambda true, self, x, mask, cache: plain(true, self, x, replace(mask, **{name: None}), cache)


def without_state(true, self, x, mask, cache):
    return plain(true, self, x, mask, None)


def of_single_precision(*given):
    return plain(*given).double()


def never_finite(true, self, x, mask, cache):
    return plain(true, self, x, mask, cache) + (float("nan") if mask.keys is not None else 0)


BROKEN = [
    ("one_row_and_one_place_are_enough", by_length, "one real place"),
    ("a_row_alone_equals_the_row_in_a_batch", of_the_batch, "a row alone"),
    ("padded_tokens_have_no_influence", without("keys"), "after the padding changed"),
    ("rows_of_padding_stay_finite", never_finite, "not finite"),
    ("documents_do_not_mix", without("documents"), "a document among others"),
    ("documents_do_not_mix", of_the_first_place, "a document among others"),
    ("single_precision_is_kept_and_close", of_single_precision, "float64"),
    ("later_tokens_have_no_influence", look_ahead, "before a changed token"),
    ("earlier_tokens_have_influence", alone, "no output depends"),
    ("state_equals_full", without_state, "in pieces of"),
    ("state_with_padding_equals_full", without_state, "padded, in pieces of"),
    ("state_with_documents_equals_full", without_state, "documents in pieces of"),
    ("reordered_rows_continue_what_they_name", without_state, "after rows were reordered"),
    ("in_a_decoder_the_future_is_hidden", look_ahead, "before a changed token"),
    ("in_a_decoder_cached_equals_full", without_state, "token by token"),
    ("in_an_encoder_padding_is_ignored", without("keys"), "padded batch|shapes|padding"),
]


@pytest.mark.parametrize(
    ("law", "change", "match"), BROKEN, ids=[f"{law}-{i}" for i, (law, _, _) in enumerate(BROKEN)]
)
def test_a_law_catches_a_mixer_that_breaks_it(monkeypatch, law, change, match):
    spoil(monkeypatch, change)
    data = {**LSTM, "direction": "both"} if law == "in_an_encoder_padding_is_ignored" else LSTM
    must_fail(law, match, data)


def test_rows_that_stay_where_they_were_are_caught(monkeypatch):
    monkeypatch.setattr(StateCache, "reorder", lambda self, rows: None)
    must_fail("reordered_rows_continue_what_they_name", "after rows were reordered")


def test_a_state_that_padding_changes_is_caught(monkeypatch):
    monkeypatch.setattr(Strips, "end", lambda self, state, before: state)
    must_fail("state_with_padding_equals_full", "padded, in pieces of")


def test_a_document_that_begins_with_the_state_of_the_one_before_is_caught(monkeypatch):
    monkeypatch.setattr(
        Strips, "begin", lambda self, state: state if self.owners is None else state[self.owners]
    )
    must_fail("state_with_documents_equals_full", "documents in pieces of")


@pytest.mark.parametrize("name", ["seeded_lstm", "attentive_gru", "attended"])
def test_a_memory_that_is_not_read_or_read_whole_is_caught(monkeypatch, name):
    cls = MIXER.entry(name).builder
    true = cls.forward

    def with_memory(change):
        return lambda self, x, *, mask, position, cache, memory, memory_mask: true(
            self, x, mask=mask, position=position, cache=cache,
            memory=change(memory), memory_mask=None if change is same else memory_mask,
        )  # fmt: skip

    def same(memory):
        return memory

    monkeypatch.setattr(cls, "forward", with_memory(lambda memory: None if memory is None else memory * 0))
    must_fail("the_memory_has_influence", "the memory changes nothing", {"type": name})
    monkeypatch.setattr(cls, "forward", with_memory(same))
    must_fail("padding_of_the_memory_has_no_influence", "padding of the memory|padded memory", {"type": name})


@pytest.mark.parametrize("name", ["attentive_gru", "attended"])
def test_a_memory_whose_sentences_stay_is_caught(monkeypatch, name):
    def stay(self, sentences):
        self.keys, self.values = self.keys[: len(sentences)], self.values[: len(sentences)]

    monkeypatch.setattr(MemoryCache, "select", stay)
    must_fail("selected_sentences_keep_their_memory", "of one sentence's memory", {"type": name})
