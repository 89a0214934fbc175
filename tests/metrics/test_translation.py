"""Scores against a BLEU worked out by hand and sacrebleu's own, and what must not be scored."""

import math
import pickle

import pytest
import sacrebleu
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from registry import SpecError, parse
from zoo.data.store import text_array
from zoo.errors import DataError
from zoo.generation.output import Output
from zoo.kinds import METRIC
from zoo.metrics.translation import TranslationMetricSpec
from zoo.tasks.task import Refusal

JAPANESE = [
    "彼は毎朝公園を走ります。",
    "東京へ行く電車はどこですか。",
    "猫が窓から外を見ている。",
    "昨日買った本はとても面白かった。",
]


def metric(**fields):
    return METRIC.build(parse(TranslationMetricSpec, fields))


def given(hypotheses, references, **fields):
    """A metric that has been given hypotheses, each with its references."""
    counting = metric(**fields)
    counting.update(
        [[Output(text, 0.0, [])] for text in hypotheses],
        [{"references": text_array("\n".join(texts))} for texts in references],
    )
    return counting


def scores_of(hypotheses, references, **fields):
    counting = given(hypotheses, references, **fields)
    return counting.scores(counting.report)


def score(hypotheses, references, **fields):
    return scores_of(hypotheses, [(text,) for text in references], **fields)


def signatures(scores):
    return {name: scores.about[f"{name}_signature"] for name in scores.values}


def test_a_perfect_translation_scores_100():
    lines = ["A dog runs through the grass .", "Two men play chess in the park."]
    scores = score(lines, lines)
    assert scores.values["bleu"] == pytest.approx(100)
    assert scores.values["chrf"] == pytest.approx(100)
    assert scores.n_rows == scores.about["n_sentences"] == 2
    assert scores.titles == {"bleu": "BLEU", "chrf": "chrF"}


def test_bleu_is_the_formula():
    # 6 words against 7: 5, 3, 2, 1 of 6, 5, 4, 3 n-grams match; brevity penalty e^(1 - 7/6).
    hypothesis, reference = "the cat sat on a mat", "the cat sat on the red mat"
    precisions = [5 / 6, 3 / 5, 2 / 4, 1 / 3]
    expected = 100 * math.exp(1 - 7 / 6) * math.prod(precisions) ** 0.25
    assert score([hypothesis], [reference]).values["bleu"] == pytest.approx(expected)


def test_of_several_references_each_n_gram_may_match_any():
    # The 6 words have their 6, 5, 4, 3 n-grams in one or the other but for "on a", "sat on a", "cat sat on a",
    # "on a mat", "sat on a mat"; the reference nearest in length has 6 words, so nothing is taken for brevity.
    references = ("the cat sat on the red mat", "there on it is a mat")
    precisions = [6 / 6, 4 / 5, 2 / 4, 1 / 3]
    found = scores_of(["the cat sat on a mat"], [references])
    assert found.values["bleu"] == pytest.approx(100 * math.prod(precisions) ** 0.25)
    assert signatures(found)["bleu"].startswith("nrefs:2|")


def test_a_line_may_have_fewer_references_than_others():
    hypotheses = ["the cat sat on a mat", "two men play chess in a park"]
    first, second = ["the cat sat on the mat", "two men play chess in the park"], ["a cat sat on a mat", None]
    found = scores_of(hypotheses, [(first[0], second[0]), (first[1], "")], report=["bleu", "chrf", "ter"])
    for name, library in {"bleu": sacrebleu.BLEU(), "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER()}.items():
        assert found.values[name] == library.corpus_score(hypotheses, [first, second]).score
    assert found.values == scores_of(
        hypotheses, [(first[0], second[0]), (first[1],)], report=["bleu", "chrf", "ter"]
    ).values  # fmt: skip
    assert "nrefs:var" in signatures(found)["bleu"]


def test_case_counts_unless_told_otherwise():
    pair = ["a dog runs through grass"], ["A dog runs through grass"]
    cased, lowered = score(*pair), score(*pair, lowercase=True)
    assert max(cased.values.values()) < 100
    assert lowered.values == {"bleu": pytest.approx(100), "chrf": pytest.approx(100)}
    assert all("case:lc" in signature for signature in signatures(lowered).values())


def test_signatures_say_how_the_scores_were_computed():
    scores = score(["a dog"], ["a cat"], report=["ter", "bleu", "chrf", "chrf++"])
    assert scores.about["sacrebleu"] == sacrebleu.__version__
    version = f"version:{sacrebleu.__version__}"
    assert signatures(scores) == {
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{version}",
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}",
        "chrf++": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|{version}",
    }
    assert [name for name in scores.about if "_" in name][1:] == [
        f"{name}_signature" for name in scores.values
    ]


def test_ter_is_the_share_of_words_to_edit():
    # One word of five is another, one of them is missing.
    assert score(["the big cat sat"], ["the red cat sat down"], report=["ter"]).values == {"ter": 40}


@pytest.mark.parametrize("tokenizer", ["char", "zh"])
def test_japanese_equal_to_its_reference_scores_100_where_characters_are_cut(tokenizer):
    assert score(JAPANESE, JAPANESE).values["bleu"] == 0
    found = score(JAPANESE, JAPANESE, tokenizer=tokenizer)
    assert found.values["bleu"] == pytest.approx(100)
    assert f"tok:{tokenizer}" in signatures(found)["bleu"]


def test_ter_cuts_japanese_where_the_tokenizer_says_that_words_have_no_spaces():
    wrong = [JAPANESE[0].replace("朝", "晩")]
    words = score(wrong, JAPANESE[:1], report=["ter"])
    characters = score(wrong, JAPANESE[:1], report=["ter"], tokenizer="char")
    assert words.values == {"ter": 100}
    assert characters.values == {"ter": 10}  # 彼 は 毎 晩 公 園 を 走 ります 。


def test_every_tokenizer_is_sacrebleus():
    hypothesis, reference = ["don't stop, 3.5 km (now)"], ["don't stop at 3.5 km; (now)!"]
    for tokenizer in ("13a", "intl", "zh", "char", "none"):
        expected = sacrebleu.BLEU(tokenize=tokenizer).corpus_score(hypothesis, [reference]).score
        assert score(hypothesis, reference, tokenizer=tokenizer).values["bleu"] == expected


@pytest.mark.parametrize(("tokenizer", "extra"), [("ja-mecab", "ja"), ("ko-mecab", "ko")])
def test_what_a_tokenizer_lacks_is_said_at_once_with_the_way_to_get_it(monkeypatch, tokenizer, extra):
    module = __import__(f"sacrebleu.tokenizers.tokenizer_{extra}_mecab", fromlist=["MeCab"])
    monkeypatch.setattr(module, "MeCab", None)
    with pytest.raises(DataError) as caught:
        metric(tokenizer=tokenizer)
    assert str(caught.value) == (
        f"task.metric.tokenizer: {tokenizer} needs packages that are not installed: "
        f"pip install 'sacrebleu[{extra}]'; or choose another one"
    )


def test_a_model_that_sacrebleu_cannot_fetch_is_an_error_in_one_line(monkeypatch, tmp_path):
    from sacrebleu.tokenizers import tokenizer_spm

    def refuse(*_):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "download_file", refuse)
    with pytest.raises(DataError, match=r"^task\.metric\.tokenizer: flores200 cannot be had: no network; or"):
        metric(tokenizer="flores200")


@pytest.mark.parametrize("name", ["bleu", "chrf", "chrf++", "ter"])
def test_the_score_that_chooses_grows_with_quality_unless_it_counts_errors(name):
    reference = [("two men play chess in the park",)]
    good, bad = (
        given([text], reference, score=name, report=["bleu"])
        for text in ("two men play chess in a park", "two dogs run in a park")
    )
    values = [counted.scores([counted.score]).values[name] for counted in (good, bad)]
    assert (values[0] < values[1]) if good.is_error else (values[0] > values[1])
    assert good.is_error == (name == "ter")


def test_unequal_counts_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        score(["a", "b"], ["a"])


def test_a_refused_row_counts_as_empty():
    lines = ["two men play chess in the park", "a dog runs through the grass"]
    counting = metric()
    answers = [[Output(lines[0], -1.0, [4]), Output("second best", -2.0, [5])], Refusal("too long")]
    counting.update(answers, [{"references": text_array(line)} for line in lines])
    assert counting.scores(["bleu", "chrf"]) == given([lines[0], ""], [(line,) for line in lines]).scores(
        ["bleu", "chrf"]
    )


WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "."]), max_size=8).map(" ".join)
ALL = ["bleu", "chrf", "chrf++", "ter"]


@settings(deadline=None, max_examples=25)
@drawn(
    rows=st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=12),
    data=st.data(),
)
def test_any_sharding_merged_in_any_order_scores_as_the_whole(rows, data):
    whole = given(*zip(*rows, strict=True))
    shards = [[] for _ in range(4)]  # some of them may stay empty
    for row in data.draw(st.permutations(rows)):
        shards[data.draw(st.integers(0, 3))].append(row)
    merged = metric()
    for shard in shards:
        part = given([text for text, _ in shard], [texts for _, texts in shard])
        sent = pickle.loads(pickle.dumps(part.state()))
        merged.merge(sent)
    assert merged.n_rows == whole.n_rows == len(rows)
    assert merged.scores(ALL) == whole.scores(ALL)  # to the last bit


def test_merging_leaves_the_merged_as_it_was():
    part, whole = given(["a"], [("a",)]), given(["b"], [("b",)])
    whole.merge(part.state())
    whole.update([[Output("c", 0.0, [])]], [{"references": text_array("c")}])
    assert (part.n_rows, whole.n_rows) == (1, 3)


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="no sentences"):
        score([], [])


def test_text_that_looks_tokenised_is_scored_without_a_word(caplog):
    lines = ["this looks tokenised ."] * 101
    assert score(lines, lines).values["bleu"] == pytest.approx(100)
    assert not caplog.records


def test_a_score_named_twice_and_an_unknown_one_are_refused():
    with pytest.raises(SpecError, match=r"^task\.metric: report names a score twice: bleu, chrf, bleu$"):
        parse(TranslationMetricSpec, {"report": ["bleu", "chrf", "bleu"]}, path="task.metric")
    for fields in ({"report": []}, {"report": ["meteor"]}, {"score": "bleurt"}, {"tokenizer": "moses"}):
        with pytest.raises(SpecError, match=next(iter(fields))):
            parse(TranslationMetricSpec, fields)
