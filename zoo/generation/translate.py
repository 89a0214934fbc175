"""From lines of text to lines of text: tokenises, batches by length, decodes, and restores the order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from zoo.generation.search import Hypothesis, n_positions
from zoo.special_ids import EOS, PAD

Progress = Callable[[int, int | None], None]
"""Called with how many lines are done, and of how many where that is known."""

_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")  # where str.splitlines() splits


class Decoding(Protocol):
    """What is needed of a search: see DECODING in zoo.kinds."""

    def __call__(
        self, model: nn.Module, source: Tensor, source_mask: Tensor, *, is_token: Tensor
    ) -> list[list[Hypothesis]]: ...


class Tokenizer(Protocol):
    """What is needed of a tokenizer: see zoo.data.tokenizers."""

    def encode(self, lines: list[str]) -> list[list[int]]: ...

    def decode(self, tokens: list[list[int]]) -> list[str]: ...

    def is_token(self) -> Sequence[bool]: ...


@dataclass(frozen=True)
class Output:
    """One translation of a line."""

    text: str
    """On one line, whatever the tokens say: see `one_line`."""
    score: float
    """Log probability divided by the length penalty; 0 for a refused line."""
    tokens: list[int]
    refusal: str = ""
    """Why the line could not be translated, in which case the text is empty; "" where it was."""


def translate(
    model: nn.Module,
    tokenizers: tuple[Tokenizer, Tokenizer],
    lines: Iterable[str],
    decoding: Decoding,
    *,
    batch_tokens: int = 2048,
    chunk_lines: int = 16384,
    progress: Progress | None = None,
) -> Iterator[list[Output]]:
    """Yields for each line, in order, its translations, best first.

    tokenizers are the source's and the target's. Lines are taken `chunk_lines` at a time, so an endless input
    is translated as it comes; within a chunk those of like length share a batch of at most batch_tokens
    source tokens, padding and ends included (a longer line is a batch of its own). A line that no model can take,
    for it has no token or holds a lone surrogate, or this one cannot, for it has fewer positions, gives one empty
    Output that says so. What a line gives depends neither on its batch nor on its chunk, but for the rounding of
    floating-point sums.
    progress is called whenever lines are done, which within a chunk are the longest first.
    """
    remaining = iter(lines)
    total = len(lines) if isinstance(lines, Sized) else None
    n_before = 0
    while chunk := list(islice(remaining, chunk_lines)):

        def count(n_done: int, n_before: int = n_before) -> None:
            if progress is not None:
                progress(n_before + n_done, total)

        yield from _translate_chunk(model, tokenizers, chunk, decoding, batch_tokens, count)
        n_before += len(chunk)


def one_line(text: str) -> str:
    """The text with a space for each line break in it, so that a file of such texts has one on each line.

    A break is what any program may take for one: str.splitlines() names them. \\r\\n is one.
    """
    return _LINE_END.sub(" ", text)


def _translate_chunk(
    model: nn.Module,
    tokenizers: tuple[Tokenizer, Tokenizer],
    lines: list[str],
    decoding: Decoding,
    batch_tokens: int,
    count: Callable[[int], None],
) -> list[list[Output]]:
    source_tokenizer, target_tokenizer = tokenizers
    device = next(model.parameters()).device
    is_token = torch.tensor(target_tokenizer.is_token(), dtype=torch.bool)
    encoder = getattr(model, "encoder", None)
    longest = n_positions(encoder) if isinstance(encoder, nn.Module) else None
    broken = [_broken(line) for line in lines]
    readable = ["" if reason else line for line, reason in zip(lines, broken, strict=True)]
    sources = [[*tokens, EOS] for tokens in source_tokenizer.encode(readable)]
    refusals = [
        reason or _refusal(len(source), longest) for source, reason in zip(sources, broken, strict=True)
    ]
    outputs = [[Output("", 0.0, [], refusal)] for refusal in refusals]
    lengths = [0 if refusal else len(source) for source, refusal in zip(sources, refusals, strict=True)]
    n_done = lengths.count(0)
    count(n_done)
    for batch in length_batches(lengths, batch_tokens):
        source, mask = _padded([sources[i] for i in batch], device)
        for i, hypotheses in zip(batch, decoding(model, source, mask, is_token=is_token), strict=True):
            texts = target_tokenizer.decode([hypothesis.tokens for hypothesis in hypotheses])
            outputs[i] = [
                Output(one_line(text), hypothesis.score, hypothesis.tokens)
                for text, hypothesis in zip(texts, hypotheses, strict=True)
            ]
        n_done += len(batch)
        count(n_done)
    return outputs


def _broken(line: str) -> str:
    """Why a line is no text; "" if it is. Broken bytes come as lone surrogates (the handler surrogateescape)."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        return f"broken UTF-8 at character {error.start + 1}"
    return ""


def _refusal(length: int, longest: int | None) -> str:
    """Why a source of so many tokens, its end included, cannot be translated; "" if it can."""
    if length == 1:
        return "no token in it"
    if longest is not None and length > longest:
        return f"{length} tokens, its end included, but the model has positions for {longest}"
    return ""


def length_batches(lengths: list[int], batch_tokens: int) -> list[list[int]]:
    """Indices of the items of lengths above 0, in batches of like length, longest first.

    Longest first, so that a batch too large for the memory fails at the start. In a batch, items × longest is
    at most batch_tokens, except for a single longer item.
    """
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    for i in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _padded(rows: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [B, S] and which are real: bool [B, S]."""
    S = max(len(row) for row in rows)
    tokens = torch.tensor([row + [PAD] * (S - len(row)) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return tokens, torch.arange(S, device=device) < lengths[:, None]
