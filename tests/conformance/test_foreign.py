"""Attentions of torch and transformers keep the laws that apply to them; and broken ones do not."""

from torch import nn

from tests.conformance import foreign
from zoo.conformance import findings, parametrize_with_laws, plain_part, trials

UNDRAWN = "torch's matrices that are no Linear's are drawn by their own module"
ROUNDED = 1e-6
"""By which LLaMA's attention may differ: its rotary tables and softmax are of float32, whatever is asked."""


@parametrize_with_laws(
    [foreign.multi_head, foreign.llama, foreign.llama_fused, foreign.bert, foreign.bert_fused],
    expected_failures={
        "attention/torch_multi_head: an_initialisation_reaches_every_matrix": UNDRAWN,
    },
)
def test_law(law, request, monkeypatch):
    if "llama" in request.node.callspec.id:
        monkeypatch.setattr(trials, "TOLERANCE", ROUNDED)
    law()


def broken(part):
    return {each.law for each in findings({"it": part}) if each.result == "failed"}


def test_a_wrong_wrapper_is_found():
    def without_mask(module, query, memory, allowed):
        return module(query, memory, memory, need_weights=False)[0]

    def inverted(module, query, memory, allowed):
        hidden = allowed.repeat_interleave(module.num_heads, dim=0)
        return module(query, memory, memory, attn_mask=hidden, need_weights=False)[0]

    def make(d_model):
        return nn.MultiheadAttention(d_model, 3, batch_first=True)

    leaks = {
        "padded_tokens_have_no_influence",
        "future_tokens_have_no_influence",
        "padding_of_the_memory_has_no_influence",
    }
    assert broken(plain_part("attention", make, run=without_mask)) >= leaks
    assert broken(plain_part("attention", make, run=inverted)) >= leaks


class Recurrent(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.cell = nn.GRU(d_model, d_model, batch_first=True)

    def forward(self, x):
        return self.cell(x)[0]


def test_a_mixer_without_a_spec_is_tried_in_its_direction():
    assert broken(plain_part("mixer", Recurrent, roles=("causal",))) == {
        "an_initialisation_reaches_every_matrix"
    }
    both = plain_part("mixer", Recurrent, run=lambda module, x, real: module(x.flip(1)).flip(1))
    assert broken(both) == {
        "an_initialisation_reaches_every_matrix",
        "one_row_and_one_place_are_enough",
        "padded_tokens_have_no_influence",
        "rows_of_padding_stay_finite",
    }
    ahead = plain_part(
        "mixer", Recurrent, roles=("causal",), run=lambda module, x, real: module(x) + x.roll(-1, dims=1)
    )
    assert "later_tokens_have_no_influence" in broken(ahead)
