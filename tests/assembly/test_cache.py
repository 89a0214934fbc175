"""Steps with a cache against all at once, whatever the layers keep: the stack counts, each mixer holds its own."""

from typing import Literal

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from registry import Spec, parse
from zoo.assembly.build import build
from zoo.kinds import ATTENTION, MODEL

V, D, T = 31, 12, 9
MULTI_HEAD, NONE = {"type": "multi_head", "n_heads": 3}, {"type": "none"}
LINEAR, RESTRICTED = {"type": "linear", "n_heads": 2}, {"type": "restricted", "n_heads": 3, "radius": 2}


class RunningMean(nn.Module):
    """The mean of all tokens so far: a mixer whose state is a sum and a count, no keys and values."""

    def __init__(self, *, d_model):
        super().__init__()
        self.projection = nn.Linear(d_model, d_model)

    class Held:
        def __init__(self):
            self.sum, self.n = 0.0, 0

        def reorder(self, rows):
            self.sum = self.sum[rows]

    def new_cache(self):
        return self.Held()

    def forward(self, query, memory=None, *, mask, position, cache):
        held = cache or self.Held()
        n = held.n + torch.arange(1, query.shape[1] + 1, dtype=query.dtype)[:, None]
        sums = held.sum + query.cumsum(1)
        held.sum, held.n = sums[:, -1:], held.n + query.shape[1]
        return self.projection(sums / n)


@pytest.fixture(autouse=True)
def running_mean(monkeypatch):
    class RunningMeanSpec(Spec):
        type: Literal["running_mean"] = "running_mean"

        def check(self, *, d_model, role, position): ...

    ATTENTION.names()  # loaded before, or all that is known would be gone afterwards
    monkeypatch.setattr(ATTENTION, "_entries", dict(ATTENTION._entries))
    ATTENTION.register("running_mean", spec=RunningMeanSpec, examples=[{}])(RunningMean)


def model_of(*attentions, architecture="decoder_only", layout="pre_norm"):
    def layers(**further):
        ffn = {"type": "mlp", "d_ff": 11}
        each = (
            {"self_attention": attention, "ffn": ffn, "layout": layout, **further} for attention in attentions
        )
        return {"layers": [{"layer": layer} for layer in each]}

    tokens = {"type": "tokens", "vocab_size": V}
    data = {"d_model": D, "position": {"type": "learned", "max_len": 20}}
    if architecture == "decoder_only":
        data |= {
            "tokens": tokens,
            "decoder": layers(),
            "head": {"type": "language_model", "predicts": "tokens"},
        }
    else:
        encoder = {"n_layers": 1, "layer": {"self_attention": MULTI_HEAD, "ffn": {"type": "mlp", "d_ff": 11}}}
        data |= {"source": tokens, "target": tokens, "encoder": encoder}
        data |= {
            "decoder": layers(cross_attention=MULTI_HEAD),
            "head": {"type": "language_model", "predicts": "target"},
        }
    torch.manual_seed(0)
    return build(parse(MODEL.entry(architecture).spec, data)).double().eval()


STACKS = [
    (NONE, MULTI_HEAD),
    (LINEAR, MULTI_HEAD),
    (MULTI_HEAD, NONE, LINEAR),
    (NONE, NONE),
    (LINEAR, LINEAR),
    (NONE, RESTRICTED),
    ({"type": "running_mean"}, MULTI_HEAD),
    (MULTI_HEAD, {"type": "running_mean"}),
]


def names(attentions):
    return "-".join(attention["type"] for attention in attentions)


@pytest.mark.parametrize("architecture", ["decoder_only", "encoder_decoder"])
@pytest.mark.parametrize("layout", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("attentions", STACKS, ids=names)
def test_steps_with_a_cache_equal_all_at_once(attentions, layout, architecture):
    model = model_of(*attentions, architecture=architecture, layout=layout)
    torch.manual_seed(1)
    tokens = torch.randint(4, V, (3, T))
    memory = () if architecture == "decoder_only" else (model.encode(torch.randint(4, V, (3, 5))),)
    with torch.no_grad():
        full, cache, steps, start = model.decode(tokens, *memory), model.new_cache(), [], 0
        for size in (4, 1, 1, 3):
            assert cache.length == start
            steps.append(model.decode(tokens[:, start : start + size], *memory, cache=cache))
            start += size
    assert_close(torch.cat(steps, 1), full, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("attentions", STACKS, ids=names)
def test_reordered_rows_and_selected_sentences_continue_what_they_name(attentions):
    model = model_of(*attentions, architecture="encoder_decoder")
    torch.manual_seed(1)
    tokens, memory = torch.randint(4, V, (3, T)), model.encode(torch.randint(4, V, (3, 5)))
    rows, sentences = [5, 4, 0, 1], [2, 0]  # two rows a sentence
    tokens = tokens.repeat_interleave(2, 0)
    with torch.no_grad():
        cache = model.new_cache()
        model.decode(tokens[:, :4], memory, cache=cache)
        cache.reorder(torch.tensor(rows))
        cache.select(torch.tensor(sentences))
        tokens, memory = tokens[rows], memory[sentences].repeat_interleave(2, 0)
        steps = [model.decode(tokens[:, i : i + 1], None, cache=cache) for i in range(4, T)]
        full = model.decode(tokens, memory)
    assert_close(torch.cat(steps, 1), full[:, 4:], rtol=1e-9, atol=1e-9)
