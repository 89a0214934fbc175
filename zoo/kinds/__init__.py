"""The kinds of component, one file each: the Kind, its contract as a Protocol, and what its specs have in common.

Letters, here and in every docstring: B batch, T target or query length, S source or key length, D d_model,
H heads, K size per head, F d_ff, V vocabulary size. Masks are bool and True means "may attend" or "a real token".

A spec may say by formulas how large its part is and what it costs: see zoo.sizes and zoo.costs.

A module needs no base class to be registered: it must take the keyword arguments its kind names as context besides
its spec's fields, and answer the calls of its kind's Protocol, a torch module by its `forward`. A plugin adds a kind
by making one: `registry.Kind("adapter", context=("d_model",))`.
"""

from zoo.kinds.attention import ATTENTION, Attention
from zoo.kinds.callback import CALLBACK, Callback
from zoo.kinds.corpus import CORPUS, Corpus, CorpusSpec, Row
from zoo.kinds.decoding import DECODING, Decoding
from zoo.kinds.embedding import EMBEDDING, Embedding
from zoo.kinds.ffn import FFN, FeedForward
from zoo.kinds.head import HEAD, Head
from zoo.kinds.initialization import INITIALIZATION, Initialization, Role
from zoo.kinds.layout import LAYOUT, Layout, LayoutSpec
from zoo.kinds.length_penalty import LENGTH_PENALTY, LengthPenalty
from zoo.kinds.logger import LOGGER, Logger
from zoo.kinds.metric import METRIC, Metric, MetricSpec, Scores
from zoo.kinds.mixer import MIXER, Mixer, MixerSpec
from zoo.kinds.model import MODEL, Model, ModelSpec, mask_name, read_slots
from zoo.kinds.norm import NORM, Norm
from zoo.kinds.optimizer import OPTIMIZER, Optimizer
from zoo.kinds.position import POSITION, Position, PositionHooks, PositionSpec
from zoo.kinds.rotary_scaling import ROTARY_SCALING, RotaryScaling
from zoo.kinds.schedule import SCHEDULE, Schedule, ScheduleSpec
from zoo.kinds.task import TASK, Task
from zoo.kinds.tokenizer import TOKENIZER, TokenizerKind, TrainedTokenizer

__all__ = [
    "ATTENTION",
    "CALLBACK",
    "CORPUS",
    "DECODING",
    "EMBEDDING",
    "FFN",
    "HEAD",
    "INITIALIZATION",
    "LAYOUT",
    "LENGTH_PENALTY",
    "LOGGER",
    "METRIC",
    "MIXER",
    "MODEL",
    "NORM",
    "OPTIMIZER",
    "POSITION",
    "ROTARY_SCALING",
    "SCHEDULE",
    "TASK",
    "TOKENIZER",
    "Attention",
    "Callback",
    "Corpus",
    "CorpusSpec",
    "Decoding",
    "Embedding",
    "FeedForward",
    "Head",
    "Initialization",
    "Layout",
    "LayoutSpec",
    "LengthPenalty",
    "Logger",
    "Metric",
    "MetricSpec",
    "Mixer",
    "MixerSpec",
    "Model",
    "ModelSpec",
    "Norm",
    "Optimizer",
    "Position",
    "PositionHooks",
    "PositionSpec",
    "Role",
    "RotaryScaling",
    "Row",
    "Schedule",
    "ScheduleSpec",
    "Scores",
    "Task",
    "TokenizerKind",
    "TrainedTokenizer",
    "mask_name",
    "read_slots",
]
