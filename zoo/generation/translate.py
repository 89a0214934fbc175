"""From lines of text to lines of text: tokenises, batches by length, decodes, and restores the order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from zoo.generation.search import Hypothesis
from zoo.special_ids import EOS, PAD

Decoding = Callable[[nn.Module, Tensor, Tensor], list[list[Hypothesis]]]


class Tokenizer(Protocol):
    """What is needed of a tokenizer: see zoo.data.tokenizers."""

    def encode(self, lines: list[str]) -> list[list[int]]: ...

    def decode(self, tokens: list[list[int]]) -> list[str]: ...


@dataclass(frozen=True)
class Output:
    """One translation of a line."""

    text: str
    score: float
    """Log probability divided by the length penalty; 0 for an empty line."""
    tokens: list[int]


def translate(
    model: nn.Module,
    tokenizers: tuple[Tokenizer, Tokenizer],
    lines: Iterable[str],
    decoding: Decoding,
    *,
    batch_tokens: int = 2048,
    chunk_lines: int = 16384,
) -> Iterator[list[Output]]:
    """Yields for each line, in order, its translations, best first.

    tokenizers are the source's and the target's. Lines are taken `chunk_lines` at a time, so an endless input
    is translated as it comes; within a chunk those of like length share a batch of at most batch_tokens
    source tokens, padding and ends included (a longer line is a batch of its own). A line without tokens
    gives one empty Output. What a line gives depends neither on its batch nor on its chunk, but for the
    rounding of floating-point sums.
    """
    remaining = iter(lines)
    while chunk := list(islice(remaining, chunk_lines)):
        yield from _translate_chunk(model, tokenizers, chunk, decoding, batch_tokens)


def _translate_chunk(
    model: nn.Module,
    tokenizers: tuple[Tokenizer, Tokenizer],
    lines: list[str],
    decoding: Decoding,
    batch_tokens: int,
) -> list[list[Output]]:
    source_tokenizer, target_tokenizer = tokenizers
    device = next(model.parameters()).device
    sources = [[*tokens, EOS] if tokens else [] for tokens in source_tokenizer.encode(lines)]
    outputs: list[list[Output]] = [[Output("", 0.0, [])] for _ in lines]
    for batch in length_batches([len(source) for source in sources], batch_tokens):
        source, mask = _padded([sources[i] for i in batch], device)
        for i, hypotheses in zip(batch, decoding(model, source, mask), strict=True):
            texts = target_tokenizer.decode([hypothesis.tokens for hypothesis in hypotheses])
            outputs[i] = [
                Output(text, hypothesis.score, hypothesis.tokens)
                for text, hypothesis in zip(texts, hypotheses, strict=True)
            ]
    return outputs


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
