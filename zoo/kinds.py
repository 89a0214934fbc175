"""The kinds of component and what each must do: the one place where a contract is said.

Letters, here and in every docstring: B batch, T target or query length, S source or key length, D d_model,
H heads, K size per head, F d_ff, V vocabulary size. Masks are bool and True means "may attend" or "a real token".

A module needs no base class to be registered: it must take the keyword arguments its kind names as context besides
its spec's fields, and answer the calls below.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from torch import Tensor, nn

from registry import Kind, Spec
from zoo.masks import Mask


def _sized(*context: str) -> dict[str, tuple[str, ...]]:
    """The two methods by which a spec may say how large its part is, with what they are called with: zoo.sizes."""
    return {"n_parameters": context, "n_kept": (*context, "batch")}


ATTENTION = Kind(
    "attention",
    package="zoo.components.attention",
    context=("d_model",),
    check=("d_model", "role", "position"),
    calls=_sized("d_model"),
    summary="mixes information between positions",
    contract="forward(query [B, T, D], memory [B, S, D] | None, *, mask, position, cache) -> [B, T, D]; "
    "memory None means self-attention; check(d_model=, role=, position=) with role 'self', 'causal' "
    "(self-attention that sees no later token) or 'cross', and the spec of the positions it meets, None for 'cross'; "
    "of the spec, `reads`: the methods of a position that it calls, any where it does not say; `gives_nothing`: "
    "whether it is none",
)
FFN = Kind(
    "ffn",
    package="zoo.components.ffn",
    context=("d_model",),
    check=("d_model",),
    calls=_sized("d_model"),
    summary="transforms each position by itself",
    contract="forward(x [B, T, D]) -> [B, T, D]; check(d_model=); `auxiliary_loss`, if it has one: the scalar that "
    "its last forward in training adds to the loss, weighted, or None; `gives_nothing` of the spec: whether it is none",
)
NORM = Kind(
    "norm",
    package="zoo.components.norm",
    context=("d_model",),
    check=("d_model",),
    calls=_sized("d_model"),
    summary="normalises each position's vector",
    contract="forward(x [B, T, D]) -> [B, T, D]; check(d_model=)",
)
POSITION = Kind(
    "position",
    package="zoo.components.position",
    context=("d_model", "n_heads"),
    check=("d_model", "n_heads", "d_k", "role"),
    calls=_sized("d_model", "n_heads"),
    summary="tells positions apart, by three hooks with neutral defaults",
    contract="embed(x [B, T, D], *, mask) -> [B, T, D]; rotate(x [B, H, T, K], *, mask) -> [B, H, T, K]; "
    "bias(q [B, H, T, K], k [B, G, S, K], *, scale, mask) -> [1 or B, 1 or H, T, S] | None; "
    "check(d_model=, n_heads=, d_k=, role=) for each layer that uses it: its heads, their size, 'self' or 'causal'; "
    "built with the n_heads of the first of them; the spec is a PositionSpec",
)
ROTARY_SCALING = Kind(
    "rotary_scaling",
    package="zoo.components.rotary_scaling",
    context=(),
    check=("size",),
    summary="slows rotary positions down, for sequences longer than those of training",
    contract="__call__(base, size, length, device) -> (radians a token of each pair, float64 [size / 2]; the factor by "
    "which queries and keys grow); size features turn, the sequence has length tokens; check(size=)",
)
LAYOUT = Kind(
    "layout",
    package="zoo.components.layout",
    context=("d_model", "norms", "dropout"),
    check=("norms",),
    calls=_sized("d_model", "norms"),
    summary="wires sublayers, residuals, norms and dropout into a layer",
    contract="forward(x [B, T, D], sublayers: sequence of callables [B, T, D] -> [B, T, D]) -> [B, T, D]; "
    "norms are the specs of the norms, one a sublayer, dropout a probability; the spec is a "
    "LayoutSpec; check(norms=)",
)
EMBEDDING = Kind(
    "embedding",
    package="zoo.components.embedding",
    context=("d_model",),
    check=("d_model",),
    calls=_sized("d_model"),
    summary="turns raw input into vectors",
    contract="forward(inputs [B, N, ...], *, mask bool [B, N] | None, types int [B, N] | None) -> vectors [B, S, D] "
    "and their mask bool [B, S] | None; S is N for tokens; check(d_model=); example_inputs(batch) of the spec: random "
    "inputs for a trial and their mask; `weight` [V, D] where a head may be tied to it",
)
HEAD = Kind(
    "head",
    package="zoo.components.head",
    context=("d_model", "embeddings"),
    check=("d_model", "embeddings"),
    calls=_sized("d_model", "embeddings"),
    summary="turns the last layer's output into the task's output",
    contract="forward(hidden [B, T, D], *, mask bool [B, T] | None = None) -> [B, T, V] or what the task needs; "
    "embeddings maps a name of the model (source, target, tokens, inputs) to its embedding module; "
    "check(d_model=, embeddings=) with their specs",
)
INITIALIZATION = Kind(
    "initialization",
    package="zoo.components.initialization",
    context=(),
    summary="sets a new model's weights",
    contract="__call__(model) -> None, in place, drawing from torch's global generator",
)
MODEL = Kind(
    "model",
    package="zoo.assembly",
    context=(),
    summary="an architecture: stacks, embeddings and a head put together",
    contract="EncoderDecoder(source, target) -> logits; DecoderOnly(tokens) -> logits; "
    "EncoderOnly(inputs) -> head output",
)
CORPUS = Kind(
    "corpus",
    package="zoo.data.corpora",
    context=(),
    summary="where examples come from",
    contract="pairs(split, *, bad_lines) -> iterator of (source, target) strings; splits() -> names of the splits "
    "present; where(split) -> a name for messages; fingerprint(split) -> a hash that changes with the text",
)
TOKENIZER = Kind(
    "tokenizer",
    package="zoo.data.tokenizers",
    context=(),
    summary="text to token ids and back",
    contract="train(lines, *, vocab_size) or restore(its saved bytes) -> a trained tokenizer with encode(list of str) "
    "-> list of id lists, decode(list of id lists) -> list of str, is_token() -> for each id below vocab_size whether "
    "there is a token, save(folder, stem), vocab_size",
)
TASK = Kind(
    "task",
    package="zoo.tasks",
    context=(),
    summary="spec + batch -> loss and metrics",
    contract="see zoo/tasks/",
)
OPTIMIZER = Kind(
    "optimizer",
    package="zoo.training.optimizers",
    context=("parameters", "lr"),
    summary="updates the weights",
    contract="a torch.optim.Optimizer over `parameters`, its rate scaled by the schedule; `n_state` of the spec: the "
    "numbers it keeps for each weight, 2 where it says none",
)
SCHEDULE = Kind(
    "schedule",
    package="zoo.training.schedules",
    context=("d_model", "max_steps"),
    summary="the learning rate of each step",
    contract="__call__(step, first step = 1) -> learning rate; the spec is a ScheduleSpec",
)
DECODING = Kind(
    "decoding",
    package="zoo.generation.strategies",
    context=(),
    summary="how output is searched for",
    contract="__call__(model, source [B, S], source_mask [B, S], *, is_token: bool [n] | None = None) -> for each "
    "sentence its n-best Hypothesis list, best first; is_token says which ids the vocabulary has a token for, those "
    "from n on having none: no other id is written",
)
LENGTH_PENALTY = Kind(
    "length_penalty",
    package="zoo.generation.penalties",
    context=(),
    summary="what a hypothesis's log probability is divided by",
    contract="__call__(length) -> divisor; works on int and on Tensor",
)

KINDS: tuple[Kind, ...] = (
    MODEL, ATTENTION, FFN, NORM, POSITION, ROTARY_SCALING, LAYOUT, EMBEDDING, HEAD, INITIALIZATION,
    TASK, CORPUS, TOKENIZER, OPTIMIZER, SCHEDULE, DECODING, LENGTH_PENALTY,
)  # fmt: skip


class ScheduleSpec(Spec):
    """Base of every schedule's spec."""

    @property
    def last_step(self) -> int | None:
        """The step after which every rate is 0, so that training ends there too; None where there is none."""
        return None

    def ending_at(self, step: int) -> Self:
        """This schedule with its end there, where its rates depend on an end and the spec leaves that open; else
        itself. Settled before the first step of a run."""
        return self


class LayoutSpec(Spec):
    """Base of every layout's spec."""

    norms_branches: ClassVar[bool] = False
    """Whether it normalises what a sublayer gives before adding it, so that scaling a sublayer does nothing."""
    leaves_out: ClassVar[bool] = False
    """Whether a sublayer that gives nothing is left out, its norm with it: where norms stand on the branches only."""
    scales_branches: ClassVar[bool] = False
    """Whether it learns a gain on what a sublayer gives."""
    uses_norms: ClassVar[bool] = True
    """Whether it normalises at all."""

    @property
    @abstractmethod
    def ends_normed(self) -> bool:
        """Whether a layer's output is already normalised (post-norm); if not, a stack ends with a norm by default.

        A layout that always is, or never is, says so by `ends_normed: ClassVar[bool] = True`, or False.
        """


class PositionSpec(Spec):
    """Base of every positional encoding's spec."""

    is_per_head: ClassVar[bool] = False
    """Whether it is built for one number of heads, so that all layers that share it must have that number."""


class Position(nn.Module):
    """The three hooks of a positional encoding, each neutral until overridden.

    Each is given the mask of the sequence, which knows the positions: `mask.query_positions` those of the key axis,
    padding counted, and `mask.token_positions` with real tokens counted only. What all layers of a stack share is
    worked out once a batch by `mask.once`. `max_len`, if it has one and that is not None: the longest sequence, padding
    counted, that there are positions for; a search stays within it.
    """

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        """Adds to the embeddings: x [B, T, D], the queries of the mask -> [B, T, D]."""
        return x

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        """Turns new queries and new keys before they meet: x [B, H, T, K] -> [B, H, T, K]."""
        return x

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor | None:
        """Adds to the scores q kᵀ · scale: q [B, H, T, K], k [B, G, S, K] -> [1 or B, 1 or H, T, S], or None."""
        return None
