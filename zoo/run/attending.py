"""Attention maps of a trained or imported model: what it attends to when it reads an input, and writes for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from registry import Problem, SpecError, clip
from zoo.analysis.attention import attentions_in
from zoo.analysis.attention_maps import AttentionMaps, map_of
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError
from zoo.kinds import Row, mask_name, read_slots
from zoo.run.inputs import asked_row
from zoo.run.using import TrainedRun
from zoo.special_ids import UNKNOWN_TEXT, SpecialIds
from zoo.tasks.task import Batch, Refusal, Searched, random_of


def attention_maps(
    model: str | Path | TrainedRun,
    given: str | Path | Row,
    *overrides: str,
    target: str | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> AttentionMaps:
    """What a model attends to: of each attention the weights [H, T, S] of heads, queries and keys, with their texts.

    The weights are made by the formula from the queries and keys of the model's own pass, whatever kernel that takes,
    and each kernel's output is compared with that of the weights: see zoo.analysis.attention.

    given is what the task is asked about: a line of text, or as for `predict`. An encoder-decoder writes for it, as its
    run searches, or is given target. model is a run's folder, an imported one, or what `open` gives; the rest as for
    TrainedRun, layers and heads as for zoo.analysis.attention.
    Raises: DataError for what the model cannot take, such as no text; SpecError for layers and heads that there are
        not, a model that attends by no softmax, a target where none is written, and what writes without a plain search.
    """
    trained = (
        model
        if isinstance(model, TrainedRun)
        else TrainedRun(model, *overrides, checkpoint=checkpoint, device=device)
    )
    batch = _asked(trained, given)
    built: Any = trained.model
    read = read_slots(built)
    reads_and_writes = built.writes is not None and bool(read)
    if target is not None and not reads_and_writes:
        raise SpecError([Problem("target", "this model writes nothing for a source: leave --target out")])
    searched = _searched(trained, batch) if reads_and_writes else None
    tokens, written = None, None
    if searched is not None:
        with torch.no_grad():
            tokens = _target(searched, target) if target is not None else searched.outputs(built)[0][0].tokens
        written = searched.tokenizer.decode([tokens])[0]

    def call() -> None:
        if searched is None:
            trained.task.hidden(built, batch)
            return
        assert tokens is not None
        ids = _ids(searched)
        inputs = torch.tensor([[ids.start, *ids.first, *tokens]], device=trained.device)
        masks = {mask_name(built, read[0]): searched.mask}
        built.hidden(searched.source, inputs, **masks)

    with _places(built) as places:
        found = attentions_in(built, call, layers=layers, heads=heads)
    texts = (_text(trained, given), target)
    names = [
        _names(embedding, inputs, _tokenizer(trained, i), texts[min(i, 1)])
        for i, (embedding, inputs) in enumerate(places)
    ]
    writes = None
    if searched is not None and tokens is not None:
        ids = _ids(searched)
        writes = _token_names(searched.tokenizer, [*ids.first, *tokens, ids.ends[0]], target)
    if any(each.weights.shape[0] != 1 for each in found.found):
        raise SpecError(
            [Problem("task", "its model reads several sequences for one input, which no map shows")]
        )
    maps = []
    for each in found.found:
        is_writer = searched is not None and each.stack == "decoder"
        queries = names[-1 if is_writer else 0]
        keys = names[0] if each.is_cross else queries
        maps.append(map_of(each, queries=queries, keys=keys, writes=writes if is_writer else None))
    return AttentionMaps(
        model=str(trained.folder),
        given=_told(given),
        written=written,
        target=target,
        maps=tuple(maps),
        without=found.without,
    )


def _asked(trained: TrainedRun, given: str | Path | Row) -> Batch:
    """What is given as a batch of one row. Raises: DataError for what the model cannot take."""
    task = trained.task
    row = asked_row(task, trained.reads, given)
    if isinstance(given, str) and not isinstance(row, Refusal) and not given.strip():
        row = Refusal("there is no word in it")
    (example,) = [row] if isinstance(row, Refusal) else task.read([row], trained.model)
    if isinstance(example, Refusal):
        raise DataError(f"{clip(_told(given))}: {example.why}")
    if task.varies:
        example = task.vary(example, random_of(0, 0, 0), is_training=False)
    return task.collate([example]).to(trained.device)


def _searched(trained: TrainedRun, batch: Batch) -> Searched:
    """The search for what is written."""
    generation = trained.run.generation
    assert generation is not None  # the task's, see TrainedRun.task
    found = trained.task.searched(batch, generation)
    if found is None:
        message = (
            f"{trained.run.task.type} makes its answers of whole outputs, for which no maps are drawn; "  # type: ignore[union-attr]
            "translation, language_model and tasks that only read have them"
        )
        raise SpecError([Problem("task", message)])
    return found


def _ids(searched: Searched) -> SpecialIds:
    ids: SpecialIds = searched.search.ids
    return ids


def _target(searched: Searched, text: str) -> list[int]:
    """The ids of a target that is given. Raises: DataError for one without a token."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("the target is no valid Unicode") from None
    tokens = searched.tokenizer.encode([text])[0]
    if not tokens:
        raise DataError("the target: no token in it")
    return tokens


@contextmanager
def _places(model: Any) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """What each embedding is given in a call, in the order of their calls."""
    found: list[tuple[nn.Module, Tensor]] = []

    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        found.append((module, args[0]))

    handles = [module.register_forward_hook(hook) for module in set(model.slots.values())]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _names(embedding: nn.Module, inputs: Tensor, tokenizer: Tokenizer | None, text: str | None) -> list[str]:
    """What each place stands for: a token's text, or what the embedding says; nothing where neither is known.

    text is what the tokens were made of, if it is known.
    """
    if tokenizer is not None and not inputs.is_floating_point():
        return _token_names(tokenizer, inputs[0].tolist(), text)
    own: Any = getattr(embedding, "place_names", list)
    names: list[str] = own()
    return names


def _token_names(tokenizer: Tokenizer, ids: Sequence[int], text: str | None) -> list[str]:
    """The texts of tokens; of one that the vocabulary does not know what stands for it in the text, marked as unknown,
    else its place, counted from 1."""
    names = tokenizer.shown(ids)
    unknown = [i for i, number in enumerate(ids) if number == tokenizer.unk]
    if not unknown:
        return names
    own = tokenizer.encode([text])[0] if text else []
    start = next((i for i in range(len(ids)) if own and list(ids[i : i + len(own)]) == own), None)
    pieces = {} if start is None or not text else dict(enumerate(tokenizer.pieces(text), start))
    for i in unknown:
        piece = pieces.get(i, "").strip()
        names[i] = f"{piece} {UNKNOWN_TEXT}" if piece else f"{UNKNOWN_TEXT}{i + 1}"
    return names


def _text(trained: TrainedRun, given: str | Path | Row) -> str | None:
    """The text that is asked about; None where it is none."""
    value = given.get(trained.reads[0]) if isinstance(given, Mapping) else given
    return value if isinstance(value, str) else None


def _tokenizer(trained: TrainedRun, side: int) -> Tokenizer | None:
    """That of the first input, or of the second."""
    tokenizers = list(trained.tokenizers.values())
    if not tokenizers:
        return None
    tokenizer = tokenizers[min(side, len(tokenizers) - 1)]
    return tokenizer.for_side("target" if side else "source")


def _told(given: str | Path | Mapping[str, Any]) -> str:
    if isinstance(given, Mapping):
        return (
            "; ".join(f"{name}: {value}" for name, value in given.items() if isinstance(value, str))
            or "a row"
        )
    return str(given)
