from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.errors import DataError, RunError
from zoo.evaluation.translation import TranslationMetric, TranslationMetricSpec
from zoo.generation.translate import Output
from zoo.kinds import DECODING, MODEL, TASK
from zoo.special_ids import BOS, EOS, PAD
from zoo.tasks import prepared_translation, translation
from zoo.tasks.prepared_translation import PreparedTranslation
from zoo.tasks.translation import Translation, TranslationSpec, load_tokenizers


class Parts(Spec):
    model: Annotated[Spec, MODEL]
    task: Annotated[Spec, TASK]
    generation: Annotated[Spec, DECODING] = "greedy"  # type: ignore[assignment]


def parts(
    *,
    target: Any = None,
    vocab_size: int = 120,
    position: Any = "sinusoidal",
    generation: Any = "greedy",
    **task: Any,
) -> Parts:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    model = {
        "type": "encoder_decoder",
        "d_model": 8,
        "source": {"type": "tokens", "vocab_size": vocab_size},
        "target": target or {"share": "source"},
        "position": position,
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
        "head": {"type": "language_model", "predicts": "target"},
    }
    data = {"type": "grammar", "n_train": 41, "n_dev": 11, "n_test": 7}
    defaults = {"type": "translation", "data": data, "tokenizer": "words"}
    return parse(Parts, {"model": model, "task": {**defaults, **task}, "generation": generation})


def made(spec: Parts, folder: Path, **more: Any) -> tuple[Translation, PreparedTranslation, nn.Module]:
    task = TASK.build(spec.task)
    assert isinstance(task, Translation)
    defaults = {"tokens_per_batch": 60, "seed": 3, "is_resumed": False}
    prepared = task.prepare(model=spec.model, folder=folder, **{**defaults, **more})
    torch.manual_seed(1)
    return task, prepared, build(spec.model).eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def test_an_epoch_has_every_pair_once_within_the_budget(tmp_path: Path) -> None:
    _, prepared, _ = made(parts(), tmp_path)
    for number in (0, 1):
        keys = prepared.epoch(number)
        assert sorted(int(i) for key in keys for i in key) == list(range(41))
        for key in keys:
            batch = prepared.batch(key)
            assert max(batch.source.numel(), batch.target_input.numel()) <= 60


def test_an_epoch_is_a_function_of_its_number_and_the_seed(tmp_path: Path) -> None:
    def order(number: int, seed: int) -> list[list[int]]:
        _, prepared, _ = made(parts(), tmp_path, seed=seed)
        prepared.epoch(5)
        return [list(map(int, key)) for key in prepared.epoch(number)]

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(2, 3)
    assert order(1, 3) != order(1, 4)


def test_a_batch_holds_its_pairs(tmp_path: Path) -> None:
    task, prepared, _ = made(parts(), tmp_path)
    tokenizer, _ = load_tokenizers(tmp_path)
    texts = list(task.pairs("train"))
    key = prepared.epoch(0)[0]
    batch = prepared.batch(key)
    mask = torch.ones_like(batch.source) == 1 if batch.source_mask is None else batch.source_mask
    start = 0
    for row, number in enumerate(key):
        source, target = tokenizer.encode(list(texts[number]))
        assert batch.source[row][mask[row]].tolist() == [*source, EOS]
        assert (batch.source[row][~mask[row]] == PAD).all()
        assert batch.target_input[row][: len(target) + 1].tolist() == [BOS, *target]
        stop = start + len(target) + 1
        assert batch.labels[start:stop].tolist() == [*target, EOS]
        T = batch.target_input.shape[1]
        assert batch.places[start:stop].tolist() == [row * T + i for i in range(len(target) + 1)]
        start = stop
    assert start == len(batch.labels)


def reference_loss(model: nn.Module, sources: Any, inputs: Any, labels: Any, label_smoothing: float) -> Any:
    logits = model(sources, inputs, source_mask=sources != PAD)
    return F.cross_entropy(
        logits.flatten(0, 1),
        labels.flatten(),
        ignore_index=PAD,
        reduction="sum",
        label_smoothing=label_smoothing,
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_loss_is_the_cross_entropy_of_the_whole_logits(tmp_path: Path, label_smoothing: float) -> None:
    _, prepared, model = made(parts(), tmp_path)
    n_padded = 0
    for key in prepared.epoch(0):
        batch = prepared.batch(key)
        loss = prepared.loss(model, batch, label_smoothing=label_smoothing)
        labels = torch.full_like(batch.target_input, PAD)
        labels.view(-1)[batch.places] = batch.labels
        expected = reference_loss(model, batch.source, batch.target_input, labels, label_smoothing)
        torch.testing.assert_close(loss.loss, expected, rtol=1e-5, atol=1e-5)
        plain = reference_loss(model, batch.source, batch.target_input, labels, 0.0)
        torch.testing.assert_close(loss.nll, plain, rtol=1e-5, atol=1e-5)
        assert loss.n_tokens == len(batch.labels)
        assert loss.n_processed == len(batch.labels) + int((batch.source != PAD).sum())
        n_padded += batch.source_mask is not None
    assert n_padded > 0


def test_padding_has_no_part_in_the_loss(tmp_path: Path) -> None:
    _, prepared, model = made(parts(), tmp_path)
    key = max(prepared.epoch(0), key=len)
    together = prepared.loss(model, prepared.batch(key), label_smoothing=0.1).loss
    alone = [
        prepared.loss(model, prepared.batch(key[i : i + 1]), label_smoothing=0.1) for i in range(len(key))
    ]
    assert all(prepared.batch(key[i : i + 1]).source_mask is None for i in range(len(key)))
    torch.testing.assert_close(together, torch.stack([loss.loss for loss in alone]).sum())


def test_only_labels_reach_the_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, prepared, model = made(parts(), tmp_path)
    seen: list[int] = []
    original = model.head.loss  # type: ignore[union-attr]

    def loss(hidden: torch.Tensor, labels: torch.Tensor, *, label_smoothing: float) -> Any:
        seen.append(len(hidden))
        return original(hidden, labels, label_smoothing=label_smoothing)  # type: ignore[operator]

    monkeypatch.setattr(model.head, "loss", loss)
    batches = [prepared.batch(key) for key in prepared.epoch(0)]
    for batch in batches:
        prepared.loss(model, batch, label_smoothing=0.1)
    assert seen == [len(batch.labels) for batch in batches]
    assert sum(seen) < sum(batch.target_input.numel() for batch in batches)


def validate(
    prepared: PreparedTranslation, model: nn.Module, spec: Parts, n: int, wanted: Callable[[], bool]
) -> Any:
    with torch.no_grad():
        return prepared.validate(model, decoding=spec.generation, n_sentences=n, is_wanted=wanted)


def test_validation_measures_all_of_dev(tmp_path: Path) -> None:
    spec = parts()
    task, prepared, model = made(spec, tmp_path)
    tokenizer, _ = load_tokenizers(tmp_path)
    total, n_tokens = 0.0, 0
    for source, target in zip(
        *(tokenizer.encode(list(side)) for side in zip(*task.pairs("dev"), strict=True)), strict=True
    ):
        labels = torch.tensor([[*target, EOS]])
        inputs = torch.tensor([[BOS, *target]])
        total += reference_loss(model, torch.tensor([[*source, EOS]]), inputs, labels, 0.0).item()
        n_tokens += labels.numel()
    found = validate(prepared, model, spec, 0, lambda: True)
    assert found.score is None
    assert found.loss == pytest.approx(total / n_tokens, rel=1e-5)
    assert set(found.metrics) == {"loss", "perplexity"}
    assert found.metrics["perplexity"] == pytest.approx(2.718281828 ** (total / n_tokens), rel=1e-5)


def test_validations_bleu_is_that_of_an_evaluation_on_the_same_sentences(tmp_path: Path) -> None:
    spec = parts()
    task, prepared, model = made(spec, tmp_path)
    pairs = list(task.pairs("dev"))[:4]
    evaluation = task.evaluate(model, pairs, decoding=spec.generation, folder=tmp_path)
    found = validate(prepared, model, spec, 4, lambda: True)
    assert found.score == found.metrics["bleu"] == evaluation.scores.values["bleu"]
    assert evaluation.sources == [source for source, _ in pairs]
    assert evaluation.references == [(reference,) for _, reference in pairs]
    assert evaluation.scores.n_sentences == len(evaluation.hypotheses) == 4


@pytest.mark.parametrize(
    "generation", ["greedy", {"type": "beam", "beam_size": 3, "n_best": 3}], ids=["greedy", "beam"]
)
@pytest.mark.parametrize("tokenizer", ["characters", "words", "sentencepiece"])
def test_a_model_wider_than_its_tokenizer_writes_only_what_there_is_a_token_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: str, generation: Any
) -> None:
    made(parts(tokenizer=tokenizer, vocab_size=110), tmp_path, tokens_per_batch=200)
    spec = parts(tokenizer=tokenizer, vocab_size=1500, generation=generation)  # nearly all of it no tokens
    task, prepared, model = made(spec, tmp_path, is_resumed=True, tokens_per_batch=200)
    n_tokens = load_tokenizers(tmp_path)[1].vocab_size
    assert n_tokens <= 110
    pairs = list(task.pairs("test"))
    outputs = [o for line in task.translate(model, [s for s, _ in pairs], decoding=spec.generation, folder=tmp_path)
               for o in line]  # fmt: skip
    batch = prepared.batch(prepared.epoch(0)[0])
    free = DECODING.build(spec.generation)(model, batch.source, batch.source_mask)
    assert max(token for found in free for token in found[0].tokens) >= n_tokens  # so it would, were it let
    assert outputs[0].tokens
    assert all(token < n_tokens for output in outputs for token in output.tokens)
    assert len(task.evaluate(model, pairs, decoding=spec.generation, folder=tmp_path).hypotheses) == 7
    written: list[int] = []
    target = prepared._data.target_tokenizer
    plain = target.decode
    monkeypatch.setattr(
        target, "decode", lambda rows: written.extend(t for row in rows for t in row) or plain(rows)
    )
    assert validate(prepared, model, spec, 4, lambda: True).score is not None
    assert 0 < max(written) < n_tokens


def test_a_source_that_the_model_cannot_take_counts_with_an_empty_translation(tmp_path: Path) -> None:
    spec = parts(position={"type": "learned", "max_len": 9}, max_length=9)
    task, _, model = made(spec, tmp_path)
    tokenizer, _ = load_tokenizers(tmp_path)
    pairs = list(task.pairs("train"))
    lengths = [len(row) + 1 for row in tokenizer.encode([source for source, _ in pairs])]
    evaluation = task.evaluate(model, pairs, decoding=spec.generation, folder=tmp_path)
    assert {number: why.split()[0] for number, why in evaluation.refusals.items()} == {
        number: str(length) for number, length in enumerate(lengths) if length > 9
    }
    assert 0 < len(evaluation.refusals) < len(pairs)
    empty = {number for number, text in enumerate(evaluation.hypotheses) if not text}
    assert empty >= set(evaluation.refusals)
    expected = TranslationMetric(TranslationMetricSpec()).scores(evaluation.hypotheses, evaluation.references)
    assert evaluation.scores == expected
    assert expected.n_sentences == len(pairs)


def test_progress_tells_how_many_of_all_sentences_are_done(tmp_path: Path) -> None:
    spec = parts()
    task, prepared, model = made(spec, tmp_path)
    done: list[tuple[int, int | None]] = []
    pairs = list(task.pairs("test"))
    task.evaluate(
        model, pairs, decoding=spec.generation, folder=tmp_path, progress=lambda *now: done.append(now)
    )
    assert done[0] == (0, 7)
    assert done[-1] == (7, 7)
    said: list[tuple[str, int, int | None]] = []
    with torch.no_grad():
        prepared.validate(
            model, decoding=spec.generation, n_sentences=4, is_wanted=lambda: True,
            report=lambda *now: said.append(now),
        )  # fmt: skip
    assert said[0][:2] == ("validating, batches", 0)
    assert said[-1] == ("validating, sentences", 4, 4)


@pytest.mark.parametrize(
    ("score", "title", "sign"),
    [("bleu", "BLEU", 1), ("chrf", "chrF", 1), ("chrf++", "chrF++", 1), ("ter", "TER", -1)],
)
def test_the_metric_says_which_score_chooses_a_checkpoint(
    tmp_path: Path, score: str, title: str, sign: int
) -> None:
    spec = parts(metric={"score": score, "report": ["bleu", "chrf", "chrf++", "ter"], "lowercase": True})
    task, prepared, model = made(spec, tmp_path)
    evaluation = task.evaluate(model, list(task.pairs("dev"))[:4], decoding=spec.generation, folder=tmp_path)
    found = validate(prepared, model, spec, 4, lambda: True)
    assert prepared.score_name == title
    assert set(found.metrics) == {"loss", "perplexity", score}
    assert found.metrics[score] == evaluation.scores.values[score]  # type: ignore[index]
    assert found.score == found.metrics[score]
    assert found.merit == sign * found.score


def japanese(folder: Path) -> dict[str, Any]:
    """A corpus in a folder, English to Japanese."""
    pairs = {"the cat looks out": "猫が窓から外を見ている。", "a man runs": "男の人が公園を走っています。",
             "where is the train": "東京へ行く電車はどこですか。"}  # fmt: skip
    for stem in ("train", "dev", "test"):
        (folder / f"{stem}.en").write_text("".join(f"{text}\n" for text in pairs), encoding="utf-8")
        (folder / f"{stem}.ja").write_text("".join(f"{text}\n" for text in pairs.values()), encoding="utf-8")
    return {"type": "parallel_text", "folder": str(folder), "source_language": "en", "target_language": "ja"}


def perfect(monkeypatch: pytest.MonkeyPatch, references: list[str]) -> None:
    """Makes every translation equal its reference."""
    outputs = [[Output(text, 0.0, [])] for text in references]
    monkeypatch.setattr(translation, "translate", lambda *_, **__: iter(outputs))


def test_a_language_that_bleu_cannot_cut_is_noticed_before_training_and_in_an_evaluation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    spec = parts(data=japanese(tmp_path), tokenizer="characters")
    task, _, model = made(spec, run)
    task.evaluate(model, task.pairs("test"), decoding=spec.generation, folder=run)
    advice = [record.getMessage() for record in caplog.records]
    assert len(advice) == 2
    assert all(text.endswith("set task.metric.tokenizer=ja-mecab, or char") for text in advice)
    caplog.clear()
    made(parts(data=japanese(tmp_path), tokenizer="characters", metric={"tokenizer": "char"}), run)
    assert caplog.records == []


def test_japanese_equal_to_its_reference_scores_100_by_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for tokenizer, expected in (("13a", 0.0), ("char", 100.0)):
        spec = parts(data=japanese(tmp_path), tokenizer="characters", metric={"tokenizer": tokenizer})
        task, prepared, model = made(spec, run)
        pairs = list(task.pairs("test"))
        perfect(monkeypatch, [reference for _, reference in pairs])
        monkeypatch.setattr(prepared_translation, "translate", translation.translate)
        scores = task.evaluate(model, pairs, decoding=spec.generation, folder=run).scores
        assert scores.values["bleu"] == pytest.approx(expected)
        assert f"tok:{tokenizer}" in scores.signatures["bleu"]
        perfect(monkeypatch, [reference for _, reference in pairs])
        monkeypatch.setattr(prepared_translation, "translate", translation.translate)
        assert validate(prepared, model, spec, 3, lambda: True).score == pytest.approx(expected)


def test_what_the_score_lacks_is_said_before_any_text_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sacrebleu.tokenizers import tokenizer_ja_mecab

    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    data = {"type": "parallel_text", "folder": "gone", "source_language": "en", "target_language": "ja"}
    spec = parts(data=data, metric={"tokenizer": "ja-mecab"})
    with pytest.raises(DataError, match=r"task\.metric\.tokenizer: .*pip install 'sacrebleu\[ja\]'"):
        made(spec, tmp_path)
    plain = parts()
    _, _, model = made(plain, tmp_path)
    task = TASK.build(parts(metric={"tokenizer": "ja-mecab"}).task)
    with pytest.raises(DataError, match=r"pip install 'sacrebleu\[ja\]'"):
        task.evaluate(model, iter(()), decoding=plain.generation, folder=tmp_path)


def test_scores_take_the_best_of_several_references(tmp_path: Path) -> None:
    spec = parts()
    task, _, model = made(spec, tmp_path)
    pairs = list(task.pairs("test"))
    [hypotheses] = [task.evaluate(model, pairs, decoding=spec.generation, folder=tmp_path).hypotheses]
    rows = [(*pair, text) for pair, text in zip(pairs, hypotheses, strict=True)]
    found = task.evaluate(model, rows, decoding=spec.generation, folder=tmp_path)
    assert found.references == [row[1:] for row in rows]
    assert found.scores.values["bleu"] == pytest.approx(100)
    assert found.scores.signatures["bleu"].startswith("nrefs:2|")


@pytest.mark.parametrize("n_calls", [0, 1, 4])
def test_a_validation_nobody_wants_ends_early(tmp_path: Path, n_calls: int) -> None:
    spec = parts()
    _, prepared, model = made(spec, tmp_path)
    answers = iter([True] * n_calls)
    assert validate(prepared, model, spec, 11, lambda: next(answers, False)) is None


def test_translating_is_done_with_the_runs_own_tokenizer(tmp_path: Path) -> None:
    spec = parts()
    task, _, model = made(spec, tmp_path)
    lines = [source for source, _ in task.pairs("test")]
    outputs = list(task.translate(model, lines, decoding=spec.generation, folder=tmp_path))
    assert len(outputs) == 7
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(RunError, match="tokenizer"):
        task.translate(model, lines, decoding=spec.generation, folder=tmp_path)


def test_two_vocabularies_have_two_tokenizers(tmp_path: Path) -> None:
    spec = parts(target={"type": "tokens", "vocab_size": 90})
    _, prepared, model = made(spec, tmp_path)
    source, target = load_tokenizers(tmp_path)
    assert source.vocab_size <= 120
    assert target.vocab_size <= 90
    assert source.sha256 != target.sha256
    assert validate(prepared, model, spec, 3, lambda: True).score is not None


def test_a_shared_embedding_has_one_tokenizer_for_both_sides(tmp_path: Path) -> None:
    made(parts(), tmp_path)
    source, target = load_tokenizers(tmp_path)
    assert source is target


def test_the_fingerprint_changes_with_the_text(tmp_path: Path) -> None:
    def fingerprint(**data: Any) -> str:
        corpus = {"type": "grammar", "n_train": 41, "n_dev": 11, "n_test": 7, **data}
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return made(parts(data=corpus), folder)[1].fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint() != fingerprint(n_train=40)
    assert fingerprint() != fingerprint(seed=2)


def test_runs_may_share_one_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made(parts(cache=str(cache)), tmp_path / name)
    assert len(list(cache.iterdir())) == 3
    assert not (tmp_path / "a" / "tokens").exists()


def test_a_model_that_cannot_translate_is_refused(tmp_path: Path) -> None:
    decoder_only = {
        "type": "decoder_only",
        "d_model": 8,
        "tokens": {"type": "tokens", "vocab_size": 50},
        "decoder": {"n_layers": 1, "layer": {"self_attention": "multi_head", "ffn": "mlp"}},
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    spec = parse(Parts, {"model": decoder_only, "task": parts().task.model_dump()})
    with pytest.raises(
        SpecError, match="model: translation needs source and target tokens; decoder_only has not"
    ):
        made(spec, tmp_path)


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    task, _, _ = made(parts(), tmp_path)
    with pytest.raises(DataError, match=r"no split 'tset' \(it has: train, dev, test\)"):
        task.pairs("tset")


def test_a_corpus_speaks_up_when_the_spec_is_read() -> None:
    data = {"type": "parallel_text", "folder": "x", "source_language": "de", "target_language": "de"}
    with pytest.raises(SpecError, match=r"task\.data: source_language and target_language are both 'de'"):
        parse(TranslationSpec, {"data": data}, path="task")
