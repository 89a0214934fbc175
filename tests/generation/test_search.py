"""Greedy and beam search against plain, slow searches over random models."""

import functools
import itertools
import random

import pytest
import torch

from registry import SpecError, dump, parse
from zoo.generation.max_length import LengthLimit
from zoo.generation.search import kept_places, log_probabilities, unite_ends
from zoo.generation.strategies.beam import Beam, BeamSpec, _best_continuations, _stay_in_place
from zoo.generation.strategies.greedy import GreedySpec
from zoo.kinds import DECODING, LENGTH_PENALTY
from zoo.special_ids import BOS, EOS, PAD, SpecialIds

NEVER = torch.tensor([PAD, BOS])


class TableModel:
    """Next-token logits drawn at random for each (sentence, prefix): a model without structure.

    As a search's batch it holds each row's prefix, as a cache would: a wrong reorder or select shows at once.
    """

    def __init__(self, *, seed, vocab_size, lengths, end_bias=0.0, room=None):
        self.seed, self.vocab_size, self.end_bias = seed, vocab_size, end_bias
        self.lengths, self.room = lengths, room
        self.sentences = list(range(len(lengths)))
        self.rows = [(sentence, ()) for sentence in self.sentences]

    def logits(self, sentence, prefix):
        draw = random.Random(repr((self.seed, sentence, prefix)))
        logits = torch.tensor([draw.gauss(0.0, 2.0) for _ in range(self.vocab_size)], dtype=torch.float64)
        logits[EOS] += self.end_bias
        return logits

    @functools.cache  # noqa: B019
    def log_probs(self, sentence, prefix):
        return log_probabilities(self.logits(sentence, prefix)[None], NEVER)[0].tolist()

    def start(self):
        return torch.stack([self.logits(*row) for row in self.rows])

    def step(self, tokens):
        per_sentence = len(self.rows) // len(self.sentences)
        assert [row[0] for row in self.rows] == [s for s in self.sentences for _ in range(per_sentence)]
        self.rows = [(s, (*prefix, t)) for (s, prefix), t in zip(self.rows, tokens.tolist(), strict=True)]
        return torch.stack([self.logits(*row) for row in self.rows])

    def reorder(self, rows):
        self.rows = [self.rows[row] for row in rows.tolist()]

    def select(self, sentences):
        self.sentences = [self.sentences[sentence] for sentence in sentences.tolist()]


def plain_beam_search(
    log_probs, limit, penalty, *, beam_size, n_best, vocab_size, stop="exact", at_limit="end"
):
    """The definition, for one sentence: [(score, log probability, tokens)]; `exact` runs to the limit."""
    live, finished = [(0.0, ())], []
    for n in range(1, limit + (1 if at_limit == "cut" else 2)):
        is_free = n > limit and at_limit == "free_end"
        candidates = sorted(
            (
                (total + (0.0 if is_free else log_probs(prefix)[token]), prefix, token)
                for total, prefix in live
                for token in range(vocab_size)
                if token not in (PAD, BOS) and (n <= limit or token == EOS)
            ),
            key=lambda candidate: -candidate[0],
        )[: 2 * beam_size]
        finished += [
            (total / penalty(n), total, prefix if token == EOS else (*prefix, token))
            for total, prefix, token in candidates[:beam_size]
            if token == EOS or (n == limit and at_limit == "cut")
        ]
        finished.sort(key=lambda hypothesis: -hypothesis[0])
        live = [(total, (*prefix, token)) for total, prefix, token in candidates if token != EOS][:beam_size]
        if stop != "exact" and len(finished) >= beam_size:
            worst = finished[beam_size - 1][0]
            if stop == "full" or not live or live[0][0] / penalty(n) <= worst:
                break
    return finished[:n_best]


def greedy(**fields):
    return DECODING.build(GreedySpec(**fields))


def beam(*, penalty="gnmt", **fields):
    fields = {"beam_size": 4, "max_length": 6, "n_best": 1, "stop": "exact", "at_limit": "end", **fields}
    return DECODING.build(BeamSpec(length_penalty=penalty, **fields))


PENALTIES = ["none", "gnmt", {"type": "gnmt", "alpha": 1.3}, {"type": "power", "alpha": 1.0}]


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize(("beam_size", "n_best"), [(2, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize("stop", ["exact", "estimate", "full"])
@pytest.mark.parametrize("at_limit", ["end", "free_end", "cut"])
def test_beam_equals_the_plain_search(penalty, beam_size, n_best, stop, at_limit):
    vocab_size, lengths = 11, [3, 1, 5]
    for seed, end_bias in enumerate([-1.0, 1.0, 2.0, 3.0]):
        table = TableModel(seed=seed, vocab_size=vocab_size, lengths=lengths, end_bias=end_bias)
        fields = {"beam_size": beam_size, "n_best": n_best, "stop": stop, "at_limit": at_limit}
        search = beam(penalty=penalty, max_length="source + 1", **fields)
        found = search.search(table)
        for sentence, length in enumerate(lengths):
            expected = plain_beam_search(
                functools.partial(table.log_probs, sentence),
                length + 1,
                search.penalty,
                beam_size=beam_size,
                n_best=n_best,
                vocab_size=vocab_size,
                stop=stop,
                at_limit=at_limit,
            )
            assert [tuple(h.tokens) for h in found[sentence]] == [tokens for _, _, tokens in expected]
            for hypothesis, (score, total, _) in zip(found[sentence], expected, strict=True):
                assert hypothesis.score == pytest.approx(score, rel=1e-12)
                assert hypothesis.log_probability == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_a_beam_that_holds_everything_finds_the_best_of_all_sequences(penalty):
    vocab_size, limit = 7, 3  # unknown and 4, 5, 6 may be written: 4^3 sequences of the longest kind
    table = TableModel(seed=1, vocab_size=vocab_size, lengths=[1, 1])
    search = beam(penalty=penalty, beam_size=4**limit * 5, n_best=9, max_length=limit)
    found = search.search(table)
    for sentence in range(2):
        every = []
        for length in range(limit + 1):
            for tokens in itertools.product([1, 4, 5, 6], repeat=length):
                steps = [*tokens, EOS]
                total = sum(table.log_probs(sentence, tokens[:i])[token] for i, token in enumerate(steps))
                every.append((total / search.penalty(length + 1), tokens))
        every.sort(reverse=True)
        assert [tuple(h.tokens) for h in found[sentence]] == [tokens for _, tokens in every[:9]]
        torch.testing.assert_close([h.score for h in found[sentence]], [score for score, _ in every[:9]])


@pytest.mark.parametrize("stop", ["exact", "estimate", "full"])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_a_beam_of_one_is_greedy(penalty, stop):
    for seed in range(5):
        fields = {"seed": seed, "vocab_size": 13, "lengths": [3, 8, 1, 5], "end_bias": 1.0}
        found = greedy(max_length="source + 2", ids=SpecialIds()).search(TableModel(**fields))
        one = beam(penalty=penalty, beam_size=1, stop=stop, max_length="source + 2").search(
            TableModel(**fields)
        )
        assert [h.tokens for [h] in one] == [h.tokens for [h] in found]
        for [a], [b] in zip(one, found, strict=True):
            assert a.log_probability == pytest.approx(b.log_probability, rel=1e-12)


def test_greedy_takes_the_most_probable_token_and_ends_at_the_limit():
    lengths = [2, 6, 1, 9]
    table = TableModel(seed=4, vocab_size=9, lengths=lengths)
    ends = set()
    for sentence, [hypothesis] in enumerate(greedy(max_length="source", ids=SpecialIds()).search(table)):
        tokens, total = (), 0.0
        while True:
            log_probs = table.log_probs(sentence, tokens)
            best = max(range(9), key=log_probs.__getitem__)
            if best == EOS or len(tokens) == lengths[sentence]:
                break
            tokens, total = (*tokens, best), total + log_probs[best]
        assert tuple(hypothesis.tokens) == tokens
        assert hypothesis.score == pytest.approx(total + log_probs[EOS], rel=1e-12)
        ends.add(best == EOS)
    assert ends == {True, False}  # both ways of ending were met


@pytest.mark.parametrize(
    "search", [greedy(max_length=9, ids=SpecialIds()), beam(n_best=3, max_length=9)], ids=["greedy", "beam"]
)
def test_a_batch_equals_its_sentences_one_by_one(search):
    lengths = [3, 1, 4, 1, 5, 9, 2]
    batch = search.search(TableModel(seed=2, vocab_size=12, lengths=lengths, end_bias=1.0))
    for sentence in range(len(lengths)):
        alone = TableModel(seed=2, vocab_size=12, lengths=lengths[sentence : sentence + 1], end_bias=1.0)
        alone.sentences, alone.rows = [sentence], [(sentence, ())]
        assert search.search(alone) == [batch[sentence]]


def test_hypotheses_are_distinct_sorted_and_hold_no_special_token():
    found = beam(n_best=4, max_length=8).search(
        TableModel(seed=3, vocab_size=12, lengths=[1] * 6, end_bias=0.5)
    )
    for hypotheses in found:
        assert len({tuple(h.tokens) for h in hypotheses}) == 4
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert not any({PAD, BOS, EOS} & set(h.tokens) for h in hypotheses)


def test_fewer_hypotheses_than_asked_when_there_are_no_more():
    found = beam(beam_size=5, n_best=5, max_length=1).search(TableModel(seed=1, vocab_size=5, lengths=[1]))
    assert {tuple(h.tokens) for h in found[0]} == {(), (1,), (4,)}


def test_finished_sentences_leave_the_batch():
    class Counting(TableModel):
        sizes = []  # noqa: RUF012

        def step(self, tokens):
            self.sizes.append(len(tokens))
            return super().step(tokens)

    beam(max_length="source").search(Counting(seed=1, vocab_size=9, lengths=[1, 5, 3], end_bias=-50.0))
    assert Counting.sizes == [12, 8, 8, 4, 4]


def test_a_score_of_minus_infinity_never_becomes_a_hypothesis():
    table = TableModel(seed=1, vocab_size=6, lengths=[2])
    table.logits = lambda sentence, prefix: torch.tensor(
        [0.0, -torch.inf, 0.0, 1.0 if prefix else -torch.inf, 2.0, -torch.inf], dtype=torch.float64
    )
    [[*hypotheses]] = beam(beam_size=3, n_best=3, max_length=2).search(table)
    assert [h.tokens for h in hypotheses] == [[4], [4, 4]]


@pytest.mark.parametrize(("V", "w", "n"), [(36, 3, 8), (37, 3, 8), (7, 1, 20), (60, 4, 2)])
def test_best_continuations_are_those_of_a_full_sort(V, w, n):
    torch.manual_seed(V)
    log_probs, totals = torch.randn(5 * w, V).log_softmax(-1), torch.randn(5, w)
    found = _best_continuations(log_probs, totals, n)
    every = (log_probs.view(5, w, V) + totals[..., None]).flatten(1)
    values, indices = every.sort(dim=1, descending=True)
    m = min(n, w * V)
    torch.testing.assert_close(found.totals[:, :m], values[:, :m], rtol=0, atol=0)
    assert torch.equal((found.parents * V + found.tokens)[:, :m], indices[:, :m])
    assert found.totals.shape == found.parents.shape == found.tokens.shape == (5, n)
    assert (found.totals[:, m:] == -torch.inf).all()


def test_each_parent_with_a_continuation_keeps_its_place():
    every = list(itertools.product(range(4), repeat=4))
    for parents, order in zip(every, _stay_in_place(torch.tensor(every)).tolist(), strict=True):
        assert sorted(order) == [0, 1, 2, 3]
        assert all(parents[order[parent]] == parent for parent in set(parents))


@pytest.mark.parametrize("done", [[0, 1, 0, 0, 1], [1, 1, 1], [0, 0], [0, 0, 1, 1], [1, 1, 0], [1, 0, 1, 0]])
def test_places_left_are_those_not_done_and_most_do_not_move(done):
    places = kept_places(torch.tensor(done, dtype=torch.bool)).tolist()
    assert sorted(places) == [i for i, d in enumerate(done) if not d]
    assert all(place == i for i, place in enumerate(places) if not done[i])


def test_n_best_above_the_beam_size_is_a_complaint():
    with pytest.raises(ValueError, match=r"n_best \(3\) must not exceed beam_size \(2\)"):
        BeamSpec(beam_size=2, n_best=3).check()


@pytest.mark.parametrize("name", DECODING.names())
def test_a_strategy_reads_back_what_it_writes(name):
    for spec in DECODING.examples(name):
        assert parse(type(spec), dump(spec)) == spec
        DECODING.build(spec)


def test_defaults_are_the_papers():
    spec = BeamSpec()
    assert dump(spec) == {
        "type": "beam",
        "beam_size": 4,
        "length_penalty": {"type": "gnmt", "alpha": 0.6},
        "max_length": "source + 50",
        "ids": {"pad": PAD, "start": BOS, "first": [], "end": EOS, "never": [PAD, BOS], "not_first": []},
        "repetition_penalty": 1.0,
        "no_repeat_ngram": 0,
        "min_length": 0,
        "n_best": 1,
        "stop": "exact",
        "at_limit": "end",
    }
    assert isinstance(LENGTH_PENALTY.entry("gnmt").spec(), type(spec.length_penalty))


def test_a_wrong_maximum_length_is_named_with_its_path():
    with pytest.raises(SpecError, match=r"generation\.max_length: .*such as 'source \+ 50'"):
        parse(BeamSpec, {"type": "beam", "max_length": "source - 2"}, path="generation")


def test_a_beam_is_usable_without_a_spec():
    search = Beam(
        beam_size=2,
        length_penalty=LENGTH_PENALTY.entry("none").spec(),
        max_length=3,
        ids=SpecialIds(),
        repetition_penalty=1.0,
        no_repeat_ngram=0,
        min_length=0,
        n_best=1,
        stop="full",
        at_limit="end",
    )
    assert len(search.search(TableModel(seed=1, vocab_size=8, lengths=[2, 3]))) == 2


def test_of_several_ends_the_most_probable_ends_an_output():
    """Beside 3, the token 5 ends an output too: as if 3 had the larger probability of both."""
    ids = SpecialIds(end=(3, 5))
    logits = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain = logits.log_softmax(-1)
    found = log_probabilities(logits, NEVER)
    unite_ends(found, ids)
    torch.testing.assert_close(found[:, 3], torch.maximum(plain[:, 3], plain[:, 5]))
    assert bool((found[:, 5] == float("-inf")).all())
    torch.testing.assert_close(found[:, [1, 4, 6, 7, 8]], plain[:, [1, 4, 6, 7, 8]])
    assert found.argmax(-1).tolist() == [
        3 if token in (3, 5) else token
        for token in plain.index_fill(1, torch.tensor([PAD, BOS]), float("-inf")).argmax(-1).tolist()
    ]


def test_an_output_stops_at_whichever_end_comes_first():
    model = TableModel(seed=3, vocab_size=7, lengths=[2, 3])
    search = greedy(max_length=9, ids=SpecialIds(end=(EOS, 4)))
    for hypotheses in search.search(model):
        assert not {EOS, 4} & set(hypotheses[0].tokens)


SEARCHES = {
    "greedy": lambda **fields: greedy(max_length=7, ids=SpecialIds(**fields)),
    "beam": lambda **fields: beam(beam_size=3, n_best=3, max_length=7, ids=SpecialIds(**fields)),
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("missing", [[8, 9, 10], [5, 7], [4, 9, 10]], ids=["padded", "holes", "both"])
@pytest.mark.parametrize("n", [11, 8, 14], ids=["all ids", "shorter", "longer"])
def test_ids_without_a_token_are_left_out_as_forbidden_ones_are(search, missing, n):
    is_token = torch.tensor([number not in missing for number in range(n)])
    without = [number for number in range(4, 11) if number in missing or number >= n]
    for seed in range(4):
        fields = {"seed": seed, "vocab_size": 11, "lengths": [3, 1, 5], "end_bias": 1.0}
        found = search().search(TableModel(**fields), is_token=is_token)
        assert found == search(never=(PAD, BOS, *without)).search(TableModel(**fields))
        assert not {t for hypotheses in found for h in hypotheses for t in h.tokens} & set(without)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_vocabulary_without_holes_changes_nothing(search):
    fields = {"seed": 2, "vocab_size": 11, "lengths": [3, 1, 5], "end_bias": 1.0}
    found = search().search(TableModel(**fields), is_token=torch.ones(11, dtype=torch.bool))
    assert found == search().search(TableModel(**fields))


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_an_end_is_written_though_the_vocabulary_has_no_token_for_it(search):
    model = TableModel(seed=2, vocab_size=9, lengths=[3, 1], end_bias=3.0)
    is_token = torch.tensor([True, True, True, False, True, True, True])
    ended = search().search(model, is_token=is_token)
    assert min(len(hypotheses[0].tokens) for hypotheses in ended) < 7


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("room", [0, 1, 3])
def test_an_output_takes_no_more_room_than_there_is(search, room):
    fields = {"seed": 5, "vocab_size": 9, "lengths": [3, 1, 5], "end_bias": -2.0}
    found = search().search(TableModel(**fields, room=room))
    assert {len(h.tokens) for hypotheses in found for h in hypotheses} >= {room}
    if room:
        limited = search()
        limited.limit = LengthLimit(room)
        assert found == limited.search(TableModel(**fields))
    else:
        assert [h.tokens for hypotheses in found for h in hypotheses] == [[]] * 3


def test_no_id_is_negative():
    with pytest.raises(SpecError, match="never"):
        parse(SpecialIds, {"never": [-1]})


def test_no_end_at_all_is_refused():
    with pytest.raises(SpecError, match="end"):
        parse(SpecialIds, {"end": []})
