"""The translation task: its batches, their loss, its validation, and what it is scored by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.data.bad_lines import BadLines
from zoo.data.coders import load_coder
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.generation.output import Output
from zoo.kinds import DECODING, MODEL, TASK, CorpusSpec, Metric, Row
from zoo.special_ids import BOS, EOS, PAD
from zoo.tasks.answering import answers
from zoo.tasks.prepared import PreparedTask, Validation, prepare
from zoo.tasks.task import Batch, Refusal
from zoo.tasks.translation import Translation, TranslationSpec


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


def made(spec: Parts, folder: Path, **more: Any) -> tuple[Translation, PreparedTask, nn.Module]:
    defaults = {"tokens_per_batch": 60, "seed": 3, "is_resumed": False}
    prepared = prepare(spec.task, model=spec.model, folder=folder, **{**defaults, **more})
    assert isinstance(prepared.task, Translation)
    torch.manual_seed(1)
    return prepared.task, prepared, build(spec.model).eval()


def tokenizers(folder: Path) -> list[Tokenizer]:
    """The source's and the target's, as a run's folder has them."""
    stems = [path.stem for path in sorted(folder.glob("tokenizer*.json")) if "vocabulary" not in path.name]
    found = [load_coder(folder, stem) for stem in stems]
    assert all(isinstance(coder, Tokenizer) for coder in found)
    return [found[0], found[-1]]  # type: ignore[list-item]


def rows_of(prepared: PreparedTask, split: str) -> list[Row]:
    return list(prepared._corpus.rows(split, bad_lines=BadLines("skip")))


@dataclass(frozen=True)
class Evaluation:
    answers: list[Any]
    metric: Metric

    @property
    def texts(self) -> list[str]:
        return ["" if isinstance(answer, Refusal) else answer[0].text for answer in self.answers]

    @property
    def values(self) -> dict[str, float]:
        return self.metric.scores(self.metric.report).values

    @property
    def about(self) -> Any:
        return self.metric.scores(self.metric.report).about


def evaluated(task: Translation, model: nn.Module, rows: Sequence[Row], spec: Parts) -> Evaluation:
    metric = task.metric()
    with torch.no_grad():
        found = list(answers(task, model, rows, decoding=spec.generation, metric=metric))
    return Evaluation(found, metric)


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
        assert sorted(int(i) for key in keys for i in key.rows) == list(range(41))
        for key in keys:
            batch = prepared.batch(key)
            assert max(batch["source"].numel(), batch["target"].numel()) <= 60


def test_an_epoch_is_a_function_of_its_number_and_the_seed(tmp_path: Path) -> None:
    def order(number: int, seed: int) -> list[list[int]]:
        _, prepared, _ = made(parts(), tmp_path, seed=seed)
        prepared.epoch(5)
        return [key.rows.tolist() for key in prepared.epoch(number)]

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(2, 3)
    assert order(1, 3) != order(1, 4)


def mask_of(batch: Batch) -> torch.Tensor:
    mask = batch.get("source_mask")
    return torch.ones_like(batch["source"]) == 1 if mask is None else mask


def test_a_batch_holds_its_pairs(tmp_path: Path) -> None:
    _, prepared, _ = made(parts(), tmp_path)
    tokenizer, _ = tokenizers(tmp_path)
    rows = rows_of(prepared, "train")
    for key in prepared.epoch(0):
        batch = prepared.batch(key)
        B, T = batch["target"].shape
        labels = torch.full((B * T,), PAD)
        labels[batch["places"]] = batch["labels"]
        labels = labels.view(B, T)
        mask = mask_of(batch)
        for row, number in enumerate(key.rows):
            source, target = tokenizer.encode([rows[number]["source"], rows[number]["target"]])
            assert batch["source"][row][mask[row]].tolist() == [*source, EOS]
            assert (batch["source"][row][~mask[row]] == PAD).all()
            rest = [PAD] * (T - len(target) - 1)
            assert batch["target"][row].tolist() == [BOS, *target, *rest]
            assert labels[row].tolist() == [*target, EOS, *rest]
        assert (labels == PAD).sum() == B * T - len(batch["labels"])
        S = batch["source"].shape[1]
        assert batch.size == f"{B} × {S} source and {B} × {T} target tokens"
        assert batch.n_processed == int(mask.sum()) + len(batch["labels"])


def test_rows_to_answer_are_a_batch_without_targets(tmp_path: Path) -> None:
    task, prepared, model = made(parts(), tmp_path)
    examples = task.read([{"source": row["source"]} for row in rows_of(prepared, "dev")], model)
    batch = task.collate(examples)  # type: ignore[arg-type]
    assert set(batch.tensors) == {"source", "source_mask"}
    assert batch["source"].shape[0] == 11
    assert batch.n_processed == int(mask_of(batch).sum())
    assert batch.size == f"11 × {batch['source'].shape[1]} source tokens"


def test_a_batch_goes_to_a_device_whole(tmp_path: Path) -> None:
    _, prepared, _ = made(parts(), tmp_path)
    batches = [prepared.part(key) for key in prepared.parts("dev")]
    assert len({batch.get("source_mask") is None for batch in batches}) == 2
    for batch in batches:
        moved = batch.to("meta")
        tensors = [tensor for tensor in moved.tensors.values() if tensor is not None]
        assert {tensor.device.type for tensor in tensors} == {"meta"}
        assert moved.tensors.keys() == batch.tensors.keys()
        assert (moved.get("source_mask") is None) == (batch.get("source_mask") is None)
        assert (moved.n_processed, moved.size, moved.key) == (batch.n_processed, batch.size, batch.key)
        assert moved.examples is batch.examples


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
    task, prepared, model = made(parts(label_smoothing=label_smoothing), tmp_path)
    n_padded = 0
    for key in prepared.epoch(0):
        batch = prepared.batch(key)
        loss = prepared.loss(model, batch)
        labels = torch.full_like(batch["target"], PAD)
        labels.view(-1)[batch["places"]] = batch["labels"]
        expected = reference_loss(model, batch["source"], batch["target"], labels, label_smoothing)
        torch.testing.assert_close(loss.loss, expected, rtol=1e-5, atol=1e-5)
        plain = reference_loss(model, batch["source"], batch["target"], labels, 0.0)
        torch.testing.assert_close(loss.nll, plain, rtol=1e-5, atol=1e-5)
        measured = task.loss(model, batch, is_training=False)
        torch.testing.assert_close(measured.loss, plain, rtol=1e-5, atol=1e-5)
        assert loss.n_predicted == len(batch["labels"])
        assert loss.n_processed == len(batch["labels"]) + int((batch["source"] != PAD).sum())
        n_padded += batch.get("source_mask") is not None
    assert n_padded > 0


def test_padding_has_no_part_in_the_loss(tmp_path: Path) -> None:
    _, prepared, model = made(parts(), tmp_path)
    key = max(prepared.epoch(0), key=lambda key: len(key.rows))
    together = prepared.loss(model, prepared.batch(key)).loss
    batches = [prepared.batch(key._replace(rows=key.rows[i : i + 1])) for i in range(len(key.rows))]
    assert all(batch.get("source_mask") is None for batch in batches)
    alone = [prepared.loss(model, batch).loss for batch in batches]
    torch.testing.assert_close(together, torch.stack(alone).sum())


def test_the_losses_of_the_halves_add_up_to_that_of_the_whole(tmp_path: Path) -> None:
    _, prepared, model = made(parts(), tmp_path)
    for key in prepared.epoch(0):
        batch = prepared.batch(key)
        whole = prepared.loss(model, batch)
        halves = [prepared.loss(model, half) for half in prepared.halves(batch)]
        torch.testing.assert_close(torch.stack([half.loss for half in halves]).sum(), whole.loss)
        assert sum(half.n_predicted for half in halves) == whole.n_predicted
        assert sum(half.n_processed for half in halves) == whole.n_processed


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
        prepared.loss(model, batch)
    assert seen == [len(batch["labels"]) for batch in batches]
    assert sum(seen) < sum(batch["target"].numel() for batch in batches)


def validate(prepared: PreparedTask, model: nn.Module, spec: Parts) -> Validation:
    with torch.no_grad():
        measured = [
            prepared.measure(model, prepared.part(key), decoding=spec.generation)
            for key in prepared.parts("dev")
        ]
    return prepared.validation(measured)


def test_validation_measures_all_of_dev(tmp_path: Path) -> None:
    spec = parts(validation_sentences=0)
    _, prepared, model = made(spec, tmp_path)
    tokenizer, _ = tokenizers(tmp_path)
    total, n_tokens = 0.0, 0
    for row in rows_of(prepared, "dev"):
        source, target = tokenizer.encode([row["source"], row["target"]])
        labels = torch.tensor([[*target, EOS]])
        inputs = torch.tensor([[BOS, *target]])
        total += reference_loss(model, torch.tensor([[*source, EOS]]), inputs, labels, 0.0).item()
        n_tokens += labels.numel()
    found = validate(prepared, model, spec)
    assert found.score is None
    assert found.loss == pytest.approx(total / n_tokens, rel=1e-5)
    assert set(found.metrics) == {"loss", "perplexity"}
    assert found.metrics["perplexity"] == pytest.approx(2.718281828 ** (total / n_tokens), rel=1e-5)


def test_validations_bleu_is_that_of_an_evaluation_on_the_same_sentences(tmp_path: Path) -> None:
    spec = parts(validation_sentences=4)
    task, prepared, model = made(spec, tmp_path)
    evaluation = evaluated(task, model, rows_of(prepared, "dev")[:4], spec)
    found = validate(prepared, model, spec)
    assert found.score == found.metrics["bleu"] == evaluation.values["bleu"]
    assert evaluation.metric.n_rows == len(evaluation.texts) == 4


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
    n_tokens = tokenizers(tmp_path)[1].vocab_size
    assert n_tokens <= 110
    rows = rows_of(prepared, "test")
    evaluation = evaluated(task, model, rows, spec)
    batch = prepared.batch(prepared.epoch(0)[0])
    free = DECODING.build(spec.generation)(model, batch["source"], batch.get("source_mask"))
    assert max(token for found in free for token in found[0].tokens) >= n_tokens  # so it would, were it let
    assert evaluation.answers[0][0].tokens
    assert all(
        token < n_tokens for answer in evaluation.answers for output in answer for token in output.tokens
    )
    assert len(evaluation.texts) == 7
    written: list[int] = []
    target = task.tokenizers[1]
    plain = target.decode
    monkeypatch.setattr(
        target, "decode", lambda rows: written.extend(t for row in rows for t in row) or plain(rows)
    )
    assert validate(prepared, model, spec).score is not None
    assert 0 < max(written) < n_tokens


def test_a_source_that_the_model_cannot_take_counts_with_an_empty_translation(tmp_path: Path) -> None:
    spec = parts(position={"type": "learned", "max_len": 9}, max_length=9)
    task, prepared, model = made(spec, tmp_path)
    tokenizer, _ = tokenizers(tmp_path)
    rows = rows_of(prepared, "train")
    lengths = [len(tokens) + 1 for tokens in tokenizer.encode([row["source"] for row in rows])]
    evaluation = evaluated(task, model, rows, spec)
    refused = {
        number: answer.why.split()[0]
        for number, answer in enumerate(evaluation.answers)
        if isinstance(answer, Refusal)
    }
    assert refused == {number: str(length) for number, length in enumerate(lengths) if length > 9}
    assert 0 < len(refused) < len(rows)
    expected = task.metric()
    expected.update(
        [[Output(text, 0.0, [])] for text in evaluation.texts], [task.compared(row) for row in rows]
    )
    assert evaluation.values == expected.scores(expected.report).values
    assert evaluation.metric.n_rows == len(rows)


@pytest.mark.parametrize(
    ("score", "title", "sign"),
    [("bleu", "BLEU", 1), ("chrf", "chrF", 1), ("chrf++", "chrF++", 1), ("ter", "TER", -1)],
)
def test_the_metric_says_which_score_chooses_a_checkpoint(
    tmp_path: Path, score: str, title: str, sign: int
) -> None:
    metric = {"score": score, "report": ["bleu", "chrf", "chrf++", "ter"], "lowercase": True}
    spec = parts(metric=metric, validation_sentences=4)
    task, prepared, model = made(spec, tmp_path)
    evaluation = evaluated(task, model, rows_of(prepared, "dev")[:4], spec)
    found = validate(prepared, model, spec)
    assert prepared.score_name == title
    assert set(found.metrics) == {"loss", "perplexity", score}
    assert found.score == found.metrics[score] == evaluation.values[score]
    assert found.merit == sign * found.score


PAIRS = {"the cat looks out": "猫が窓から外を見ている。", "a man runs": "男の人が公園を走っています。",
         "where is the train": "東京へ行く電車はどこですか。"}  # fmt: skip


def japanese(folder: Path) -> dict[str, Any]:
    """A corpus in a folder, English to Japanese."""
    for stem in ("train", "dev", "test"):
        (folder / f"{stem}.en").write_text("".join(f"{text}\n" for text in PAIRS), encoding="utf-8")
        (folder / f"{stem}.ja").write_text("".join(f"{text}\n" for text in PAIRS.values()), encoding="utf-8")
    return {"type": "parallel_text", "folder": str(folder), "source_language": "en", "target_language": "ja"}


def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every translation equal its reference."""

    def predict(self: Translation, model: nn.Module, batch: Batch, *, decoding: Any) -> list[list[Output]]:
        texts = self.tokenizers[0].decode(batch["source"].tolist())
        return [[Output(PAIRS[text], 0.0, [])] for text in texts]

    monkeypatch.setattr(Translation, "predict", predict)


def test_a_language_that_bleu_cannot_cut_is_noticed_before_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    made(parts(data=japanese(tmp_path), tokenizer="characters"), run)
    [advice] = [record.getMessage() for record in caplog.records]
    assert advice.endswith("set task.metric.tokenizer=ja-mecab, or char")
    caplog.clear()
    made(parts(data=japanese(tmp_path), tokenizer="characters", metric={"tokenizer": "char"}), run)
    assert caplog.records == []


def test_japanese_equal_to_its_reference_scores_100_by_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    perfect(monkeypatch)
    for tokenizer, expected in (("13a", 0.0), ("char", 100.0)):
        spec = parts(data=japanese(tmp_path), tokenizer="characters", metric={"tokenizer": tokenizer})
        task, prepared, model = made(spec, run)
        evaluation = evaluated(task, model, rows_of(prepared, "test"), spec)
        assert evaluation.values["bleu"] == pytest.approx(expected)
        assert f"tok:{tokenizer}" in evaluation.about["bleu_signature"]
        assert validate(prepared, model, spec).score == pytest.approx(expected)


def test_what_the_score_lacks_is_said_before_any_text_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sacrebleu.tokenizers import tokenizer_ja_mecab

    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    data = {"type": "parallel_text", "folder": "gone", "source_language": "en", "target_language": "ja"}
    spec = parts(data=data, metric={"tokenizer": "ja-mecab"})
    with pytest.raises(DataError, match=r"task\.metric\.tokenizer: .*pip install 'sacrebleu\[ja\]'"):
        made(spec, tmp_path)


def test_scores_take_the_best_of_several_references(tmp_path: Path) -> None:
    spec = parts()
    task, prepared, model = made(spec, tmp_path)
    rows = rows_of(prepared, "test")
    texts = evaluated(task, model, rows, spec).texts
    more = [{**row, "references": [text]} for row, text in zip(rows, texts, strict=True)]
    found = evaluated(task, model, more, spec)
    assert found.values["bleu"] == pytest.approx(100)
    assert found.about["bleu_signature"].startswith("nrefs:2|")
    one = [
        {**row, "references": text} for row, text in zip(rows, texts, strict=True)
    ]  # as a column of a table has it
    again = evaluated(task, model, one, spec)
    assert (again.values, again.about) == (found.values, found.about)


def test_a_line_end_in_a_reference_is_a_space_of_it(tmp_path: Path) -> None:
    spec = parts()
    task, prepared, model = made(spec, tmp_path)
    rows = rows_of(prepared, "test")
    texts = evaluated(task, model, rows, spec).texts
    broken = [
        {**row, "target": text.replace(" ", "\n"), "references": []}
        for row, text in zip(rows, texts, strict=True)
    ]
    assert any("\n" in row["target"] for row in broken)
    found = evaluated(task, model, broken, spec)
    assert found.values["bleu"] == pytest.approx(100)
    assert found.about["bleu_signature"].startswith("nrefs:1|")


def test_translating_is_done_with_the_runs_own_tokenizer(tmp_path: Path) -> None:
    spec = parts()
    _, prepared, model = made(spec, tmp_path)
    coder = load_coder(tmp_path, "tokenizer")
    task = TASK.build(spec.task, model=spec.model, coders={"tokenizer": coder})
    rows = [{"source": row["source"]} for row in rows_of(prepared, "test")]
    found = evaluated(prepared.task, model, rows_of(prepared, "test"), spec)  # type: ignore[arg-type]
    with torch.no_grad():
        assert list(answers(task, model, rows, decoding=spec.generation)) == found.answers


@pytest.mark.parametrize(
    ("tokenizer", "vocab_size", "message"),
    [
        ("characters", 120, "holds a words tokenizer; the spec asks for characters"),
        ("words", 50, r"holds 1\d\d ids; the model has room for 50"),
    ],
)
def test_a_tokenizer_of_another_spec_is_refused(
    tmp_path: Path, tokenizer: str, vocab_size: int, message: str
) -> None:
    made(parts(), tmp_path)
    other = parts(tokenizer=tokenizer, vocab_size=vocab_size)
    task = TASK.build(other.task, model=other.model, coders={"tokenizer": load_coder(tmp_path, "tokenizer")})
    with pytest.raises(RunError, match=message):
        task.check_coders(tmp_path)


def test_two_vocabularies_have_two_tokenizers(tmp_path: Path) -> None:
    spec = parts(target={"type": "tokens", "vocab_size": 90})
    _, prepared, model = made(spec, tmp_path)
    source, target = tokenizers(tmp_path)
    assert source.vocab_size <= 120
    assert target.vocab_size <= 90
    assert source.sha256 != target.sha256
    assert validate(prepared, model, spec).score is not None


def test_a_shared_embedding_has_one_tokenizer_for_both_sides(tmp_path: Path) -> None:
    task, _, _ = made(parts(), tmp_path)
    source, target = task.tokenizers
    assert source is target
    assert task.coder_names == ("tokenizer",)


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
    assert not (tmp_path / "a" / "examples").exists()


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
        SpecError, match="translation needs source and target tokens; decoder_only has not both"
    ):
        spec.task.check(model=spec.model)  # type: ignore[attr-defined]


def test_a_corpus_speaks_up_when_the_spec_is_read() -> None:
    data = {"type": "parallel_text", "folder": "x", "source_language": "de", "target_language": "de"}
    with pytest.raises(SpecError, match=r"task\.data: source_language and target_language are both 'de'"):
        parse(TranslationSpec, {"data": data}, path="task")


def test_a_corpus_without_the_fields_that_are_read_is_refused() -> None:
    spec = parse(TranslationSpec, {"data": "grammar"}, path="task")
    lacking = spec.model_copy(update={"data": Lacking()})
    [problem] = lacking.problems("task")
    assert (problem.path, problem.message) == (
        "task.data", "rows of text, label are given, and this task reads source, target: source, target is missing",
    )  # fmt: skip


class Lacking(CorpusSpec):
    fields: ClassVar = ("text", "label")


def test_a_search_goes_by_the_ids_of_the_tokenizer_not_by_those_of_a_published_vocabulary(
    tmp_path: Path,
) -> None:
    published = {"type": "greedy", "ids": {"pad": 9, "start": 9, "end": 7, "never": [9]}}
    answers = []
    for generation in ("greedy", published):
        spec = parts(generation=generation)
        _, prepared, model = made(spec, tmp_path)
        batch = prepared.part(prepared.parts("dev")[0])
        found = prepared.predict(model, batch, decoding=spec.generation)
        answers.append([[output.tokens for output in outputs] for outputs in found])
    assert answers[0] == answers[1]
