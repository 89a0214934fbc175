"""Beam search, all sentences of a batch at once: finished sentences leave, nothing is computed twice."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.generation.constraints import ConstrainedSpec, Constraints, never_written
from zoo.generation.max_length import LengthLimit, MaxLength
from zoo.generation.search import (
    Hypothesis,
    Searchable,
    checked,
    kept_places,
    length_limits,
    log_probabilities,
    searchable,
    unite_ends,
)
from zoo.kinds import DECODING, LENGTH_PENALTY
from zoo.special_ids import SpecialIds

Stop = Literal["exact", "estimate", "full"]
AtLimit = Literal["end", "free_end", "cut"]


class BeamSpec(ConstrainedSpec):
    type: Literal["beam"] = "beam"
    beam_size: int = Field(4, ge=1, le=1000)
    """Unfinished hypotheses kept per sentence."""
    length_penalty: Annotated[Spec, LENGTH_PENALTY] = Field("gnmt", validate_default=True)
    """What a finished hypothesis's log probability is divided by before hypotheses are compared."""
    max_length: MaxLength = "source + 50"
    """The most tokens of an output, its end not counted: a number, or a rule such as `source * 2 + 10`."""
    ids: SpecialIds = SpecialIds()
    """The ids that begin and end an output; by default this project's own."""
    n_best: int = Field(1, ge=1, le=1000)
    """Hypotheses returned per sentence, at most beam_size."""
    stop: Stop = "exact"
    """When a sentence is done. exact: when no unfinished hypothesis can still enter the n_best. estimate:
    when beam_size are finished and the best unfinished one, were it to end now at no cost, would not enter
    them (transformers' default). full: when beam_size are finished (fairseq's default)."""
    at_limit: AtLimit = "end"
    """What becomes of a hypothesis of max_length tokens. end: it may only end, at the end's own probability (as in
    fairseq). free_end: it ends at no cost (transformers, where forced_eos_token_id is set). cut: it is finished as it
    is, without an end (transformers, where it is not)."""

    def check(self) -> None:
        if self.n_best > self.beam_size:
            raise ValueError(f"n_best ({self.n_best}) must not exceed beam_size ({self.beam_size})")


@DECODING.register(
    "beam",
    spec=BeamSpec,
    examples=[
        {"beam_size": 3, "n_best": 2},
        {"length_penalty": "none", "stop": "full", "max_length": 7, "min_length": 2},
        {"length_penalty": "power", "stop": "estimate", "max_length": 5, "at_limit": "cut"},
    ],
)
class Beam:
    """Beam search: of all one-token continuations of the beam_size best hypotheses, keeps the beam_size best.

    Of the 2·beam_size best continuations of a sentence, those among the first beam_size that end it are
    finished hypotheses, and the first beam_size that do not end it go on. What becomes of one that has reached the
    maximum length, at_limit says. The result is the n_best finished ones by log probability / length penalty.
    With stop `exact` it is the result of a search that runs to the maximum length: a sentence is done once no
    unfinished hypothesis could beat the worst of the n_best even if it reached the maximum length at no further cost.
    (A penalty must not shrink as the length grows.)
    A beam of size 1 is greedy search, but for a repetition penalty, which is laid on logits there: the first end closes
    the sentence, whatever `stop` says.
    Among equal scores the hypothesis found first is ranked first. The constraints (see zoo.generation.constraints) are
    laid on log probabilities, so that a repetition penalty counts in the ranking.

    Source: Wu et al. 2016, section 7, with tensor2tensor's 2·beam_size candidates and stopping rule.
    Differs: tensor2tensor finishes all of the 2·beam_size that end, here as in fairseq and transformers only
        those among the first beam_size.
    Shapes: source [B, S], source_mask bool [B, S] or None, is_token bool [n] or None: which ids there is a token
        for, none from n on -> for each of B sentences up to n_best Hypotheses, best first. For a decoder-only model
        source is the prompt.
    Raises: ValueError for a model in training mode or without a decoder; DivergedError when its logits are
        not finite.
    """

    def __init__(
        self,
        *,
        beam_size: int,
        length_penalty: Spec,
        repetition_penalty: float,
        no_repeat_ngram: int,
        min_length: int,
        max_length: int | str,
        ids: SpecialIds,
        n_best: int,
        stop: Stop,
        at_limit: AtLimit,
    ) -> None:
        self.constraints = Constraints(
            repetition_penalty=repetition_penalty,
            no_repeat_ngram=no_repeat_ngram,
            min_length=min_length,
            ids=ids,
        )
        self.ids = ids
        self.beam_size = beam_size
        self.penalty = LENGTH_PENALTY.build(length_penalty)
        self.limit = LengthLimit(max_length)
        self.n_best = n_best
        self.stop: Stop = "full" if beam_size == 1 else stop
        self.n_kept = n_best if self.stop == "exact" else beam_size
        self.at_limit: AtLimit = at_limit
        self.n_end = 0 if at_limit == "cut" else 1  # tokens that an output of max_length has besides

    def __call__(
        self,
        model: nn.Module,
        source: Tensor,
        source_mask: Tensor | None = None,
        *,
        is_token: Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        return self.search(searchable(model, source, source_mask, self.ids), is_token=is_token)

    @torch.no_grad()
    def search(self, batch: Searchable, *, is_token: Tensor | None = None) -> list[list[Hypothesis]]:
        """Searches for the sentences of a batch that is at its start."""
        found: list[list[Hypothesis]] = [[] for _ in batch.lengths]
        sentences = list(range(len(found)))  # which sentence stands at each place of the batch
        logits = batch.start()  # [B, V]: one row a sentence at first, later beam_size
        never = never_written(self.ids, is_token, logits.shape[1], logits.device)
        log_probs = log_probabilities(logits, never)
        device = log_probs.device
        # What follows is small and stays on the CPU: a step waits for the device once, not at each question.
        limits = torch.tensor(length_limits(batch, self.limit, self.ids))  # [B]
        totals = log_probs.new_zeros(len(found), 1, device="cpu")  # [B, n rows], of the scores so far
        own = totals  # of the log probabilities that the model gives: the same, but for a repetition penalty
        tokens = limits.new_empty(len(found), 0)  # [N, n - 1], written so far
        while True:
            n = tokens.shape[1] + 1  # length of what is found now, an end included
            scores = log_probs
            if self.constraints.act(n - 1):
                scores = self.constraints(log_probs, batch.before[sentences], tokens)
                unite_ends(scores, self.ids)
            unite_ends(log_probs, self.ids)
            is_full = limits + self.n_end <= n  # [B], of which sentences nothing goes on
            if self.at_limit != "cut":
                _end_only(scores, log_probs, is_full, self.ids.ends[0], is_free=self.at_limit == "free_end")
            candidates = _best_continuations(scores, totals.to(device), 2 * self.beam_size).cpu()
            first_rows = torch.arange(0, len(tokens), totals.shape[1])  # [B], of each sentence
            rows = first_rows[:, None] + candidates.parents  # [B, 2k]
            if self.constraints.repetition_penalty == 1:
                own = candidates.totals
            else:
                gained = log_probs[rows.to(device), candidates.tokens.to(device)].cpu()
                own = own.gather(1, candidates.parents) + gained  # [B, 2k]
            is_finished = candidates.tokens[:, : self.beam_size] == self.ids.ends[0]  # [B, k]
            if self.at_limit == "cut":
                is_finished |= is_full[:, None]
            self._collect(found, sentences, candidates, own, rows, tokens, is_finished)

            going_on = _first(candidates.tokens != self.ids.ends[0], self.beam_size)  # [B, k], best first
            best = candidates.totals.gather(1, going_on[:, :1]).squeeze(1)  # [B]
            is_done = self._is_done(found, sentences, best, n, limits) | is_full
            going_on = going_on.gather(1, _stay_in_place(candidates.parents.gather(1, going_on)))
            rows, token = rows.gather(1, going_on), candidates.tokens.gather(1, going_on)
            totals, own = candidates.totals.gather(1, going_on), own.gather(1, going_on)
            places = kept_places(is_done)
            if len(places) < len(sentences):
                if not len(places):
                    return [checked(hypotheses)[: self.n_best] for hypotheses in found]
                sentences = [sentences[place] for place in places.tolist()]
                limits, totals, own = limits[places], totals[places], own[places]
                token, rows = token[places], rows[places]
            rows, token = rows.flatten(), token.flatten()  # [N]
            batch.reorder(rows.to(device))
            if len(places) < len(is_done):
                batch.select(places.to(device))
            tokens = torch.cat([tokens[rows], token[:, None]], dim=1)
            log_probs = log_probabilities(batch.step(token.to(device)), never)

    def _collect(
        self,
        found: list[list[Hypothesis]],
        sentences: list[int],
        candidates: Candidates,
        own: Tensor,
        rows: Tensor,
        written: Tensor,
        is_finished: Tensor,
    ) -> None:
        """Adds the candidates that are finished [B, k] to `found`: own, their log probabilities, and rows [B, 2k];
        written [N, n - 1]."""
        k = self.beam_size
        is_finished = is_finished & (candidates.totals[:, :k] > -math.inf)
        places = is_finished.nonzero()[:, 0].tolist()
        if not places:
            return
        totals, lasts = (each[:, :k][is_finished].tolist() for each in (candidates.totals, candidates.tokens))
        log_probs, texts = own[:, :k][is_finished].tolist(), written[rows[:, :k][is_finished]].tolist()
        penalty = float(self.penalty(len(self.ids.first) + written.shape[1] + 1))
        for place, total, log_prob, text, last in zip(places, totals, log_probs, texts, lasts, strict=True):
            hypotheses = found[sentences[place]]
            tokens = text if last == self.ids.ends[0] else [*text, last]
            hypotheses.append(Hypothesis(tokens, score=total / penalty, log_probability=log_prob))
            hypotheses.sort(key=_by_score)  # stable: the one found first stays first
            del hypotheses[self.n_kept :]

    def _is_done(
        self, found: list[list[Hypothesis]], sentences: list[int], best: Tensor, n: int, limits: Tensor
    ) -> Tensor:
        """Which sentences need no further step: bool [B], from the best unfinished hypotheses' totals [B]."""
        worst = torch.tensor(
            [found[s][-1].score if len(found[s]) == self.n_kept else -math.inf for s in sentences],
            dtype=torch.float64,
        )
        if self.stop == "full":
            return worst > -math.inf
        # A total only falls and a penalty only grows as a hypothesis does, so this is the most it can reach.
        length = limits + self.n_end if self.stop == "exact" else torch.full_like(limits, n)
        length = length + len(self.ids.first)
        return best.double() / self.penalty(length.double()) <= worst


class Candidates(NamedTuple):
    """Continuations of the hypotheses of each sentence, best first."""

    totals: Tensor
    """Log probabilities [B, n], -inf where there are fewer than n."""
    parents: Tensor
    """Which of its sentence's rows each continues: int64 [B, n]."""
    tokens: Tensor
    """With what: int64 [B, n]."""

    def cpu(self) -> Candidates:
        """The same, on the CPU."""
        return Candidates(self.totals.cpu(), self.parents.cpu(), self.tokens.cpu())


def _by_score(hypothesis: Hypothesis) -> float:
    return -hypothesis.score


def _best_continuations(log_probs: Tensor, totals: Tensor, n: int) -> Candidates:
    """The n best one-token continuations of the w rows of each sentence.

    log_probs [B·w, V] are those of the next token, totals [B, w] the sums of the rows so far.
    Looks at each value once, for the best of its group; only the n groups with the best bests are searched.
    """
    B, w = totals.shape
    V = log_probs.shape[1]
    size = _group_size(V)
    groups = log_probs.view(B, w, V // size, size)
    bests = (groups.amax(-1) + totals[..., None]).flatten(1)  # [B, w·V/size]
    chosen = bests.topk(min(n, bests.shape[1]), sorted=False).indices.sort(dim=1).values  # [B, m]
    values = groups.flatten(1, 2).gather(1, chosen[..., None].expand(-1, -1, size))  # [B, m, size]
    parents = chosen // (V // size)  # [B, m]
    values = (values + totals.gather(1, parents)[..., None]).flatten(1)  # [B, m·size]
    best = values.topk(min(n, values.shape[1]))
    group = best.indices // size  # [B, n]
    tokens = (chosen.gather(1, group) % (V // size)) * size + best.indices % size
    missing = n - tokens.shape[1]
    return Candidates(
        F.pad(best.values, (0, missing), value=-math.inf),
        F.pad(parents.gather(1, group), (0, missing)),
        F.pad(tokens, (0, missing)),
    )


def _group_size(vocab_size: int) -> int:
    """The divisor of V next below √V: about as many groups as members."""
    return next(size for size in range(math.isqrt(vocab_size), 0, -1) if vocab_size % size == 0)


def _end_only(scores: Tensor, log_probs: Tensor, is_full: Tensor, end: int, *, is_free: bool) -> None:
    """Leaves only the end, at its log probability or free, to the rows of full sentences: is_full [B].

    scores [B·w, V] in place, which may be log_probs [B·w, V] themselves; of these the end, where it is free.
    """
    if is_full.any():
        full = is_full.repeat_interleave(scores.shape[0] // is_full.shape[0]).to(scores.device)  # [B·w]
        if is_free:
            log_probs[full, end] = 0.0
        ends = log_probs[full, end]
        scores[full] = -math.inf
        scores[full, end] = ends


def _first(is_wanted: Tensor, n: int) -> Tensor:
    """Places of the first n True of each row, then of the first False: bool [B, m] -> int64 [B, n]."""
    m = is_wanted.shape[1]
    rank = torch.arange(m, device=is_wanted.device) + m * ~is_wanted
    return rank.topk(n, largest=False, sorted=True).indices


def _stay_in_place(parents: Tensor) -> Tensor:
    """The order of k continuations in which each parent's first one takes its place: int64 [B, k] -> [B, k].

    The cache then copies only the rows of parents without a continuation. The order means nothing else.
    """
    B, k = parents.shape
    same = parents[:, :, None] == parents[:, None, :]  # [B, k, k]
    is_heir = ~same.tril(-1).any(-1)
    places = torch.arange(k, device=parents.device).expand(B, k)
    is_free = torch.ones_like(is_heir).scatter(1, parents, False)
    free = _first(is_free, k).gather(1, ((~is_heir).cumsum(1) - 1).clamp(min=0))  # for the others, in order
    place = torch.where(is_heir, parents, free)
    return torch.empty_like(parents).scatter_(1, place, places)
