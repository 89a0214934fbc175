"""Scores against a BLEU worked out by hand and sacrebleu's own, and what must not be scored."""

import math

import pytest
import sacrebleu

from registry import SpecError, check_part, parse
from zoo.errors import DataError
from zoo.evaluation.translation import TranslationMetric, TranslationMetricSpec

JAPANESE = [
    "彼は毎朝公園を走ります。",
    "東京へ行く電車はどこですか。",
    "猫が窓から外を見ている。",
    "昨日買った本はとても面白かった。",
]


def metric(**fields):
    return TranslationMetric(parse(TranslationMetricSpec, fields))


def score(hypotheses, references, **fields):
    return metric(**fields).scores(hypotheses, [(text,) for text in references])


def test_a_perfect_translation_scores_100():
    lines = ["A dog runs through the grass .", "Two men play chess in the park."]
    scores = score(lines, lines)
    assert scores.values["bleu"] == pytest.approx(100)
    assert scores.values["chrf"] == pytest.approx(100)
    assert scores.n_sentences == 2


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
    found = metric().scores(["the cat sat on a mat"], [references])
    assert found.values["bleu"] == pytest.approx(100 * math.prod(precisions) ** 0.25)
    assert found.signatures["bleu"].startswith("nrefs:2|")


def test_a_line_may_have_fewer_references_than_others():
    hypotheses = ["the cat sat on a mat", "two men play chess in a park"]
    first, second = ["the cat sat on the mat", "two men play chess in the park"], ["a cat sat on a mat", None]
    found = metric(report=["bleu", "chrf", "ter"]).scores(hypotheses, [(first[0], second[0]), (first[1], "")])
    for name, library in {"bleu": sacrebleu.BLEU(), "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER()}.items():
        assert found.values[name] == library.corpus_score(hypotheses, [first, second]).score
    assert found.values == metric(report=["bleu", "chrf", "ter"]).scores(
        hypotheses, [(first[0], second[0]), (first[1],)]
    ).values  # fmt: skip
    assert "nrefs:var" in found.signatures["bleu"]


def test_case_counts_unless_told_otherwise():
    pair = ["a dog runs through grass"], ["A dog runs through grass"]
    cased, lowered = score(*pair), score(*pair, lowercase=True)
    assert max(cased.values.values()) < 100
    assert lowered.values == {"bleu": pytest.approx(100), "chrf": pytest.approx(100)}
    assert all("case:lc" in signature for signature in lowered.signatures.values())


def test_signatures_say_how_the_scores_were_computed():
    scores = score(["a dog"], ["a cat"], report=["ter", "bleu", "chrf", "chrf++"])
    assert scores.sacrebleu == sacrebleu.__version__
    version = f"version:{sacrebleu.__version__}"
    assert scores.signatures == {
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{version}",
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}",
        "chrf++": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|{version}",
    }
    assert list(scores.values) == list(scores.signatures)


def test_ter_is_the_share_of_words_to_edit():
    # One word of five is another, one of them is missing.
    assert score(["the big cat sat"], ["the red cat sat down"], report=["ter"]).values == {"ter": 40}


@pytest.mark.parametrize("tokenizer", ["char", "zh"])
def test_japanese_equal_to_its_reference_scores_100_where_characters_are_cut(tokenizer):
    assert score(JAPANESE, JAPANESE).values["bleu"] == 0
    found = score(JAPANESE, JAPANESE, tokenizer=tokenizer)
    assert found.values["bleu"] == pytest.approx(100)
    assert f"tok:{tokenizer}" in found.signatures["bleu"]


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
    chooses = metric(score=name, report=["bleu"])
    good, bad = (
        chooses.chosen([text], reference)
        for text in ("two men play chess in a park", "two dogs run in a park")
    )
    assert (good < bad) if chooses.is_error else (good > bad)
    assert chooses.is_error == (name == "ter")


def test_unequal_counts_are_refused():
    with pytest.raises(DataError, match="2 hypotheses cannot be scored against 1 references"):
        score(["a", "b"], ["a"])


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="no sentences"):
        score([], [])


def test_text_that_looks_tokenised_is_scored_without_a_word(caplog):
    lines = ["this looks tokenised ."] * 101
    assert score(lines, lines).values["bleu"] == pytest.approx(100)
    assert not caplog.records


def test_a_score_named_twice_and_an_unknown_one_are_refused():
    spec = parse(TranslationMetricSpec, {"report": ["bleu", "chrf", "bleu"]})
    assert [p.message for p in check_part(spec, "task.metric")] == [
        "report names a score twice: bleu, chrf, bleu"
    ]
    for fields in ({"report": []}, {"report": ["meteor"]}, {"score": "bleurt"}, {"tokenizer": "moses"}):
        with pytest.raises(SpecError, match=next(iter(fields))):
            parse(TranslationMetricSpec, fields)
