"""A stack that is gone through several times, with the same weights."""

import pytest
import torch
from torch.testing import assert_close

import zoo
from registry import parse
from zoo.kinds import MODEL

LAYER = {
    "self_attention": {"type": "multi_head", "n_heads": 3},
    "ffn": {"type": "mlp", "d_ff": 17},
    "dropout": 0.0,
}


def spec(**stack):
    data = {
        "type": "decoder_only",
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": 19},
        "decoder": {"layer": {**LAYER, "layout": "pre_norm"}, "n_layers": 2, **stack},
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    return parse(MODEL.entry("decoder_only").spec, data)


def built(**stack):
    torch.manual_seed(0)
    return zoo.build(spec(**stack)).eval()


TOKENS = torch.tensor([[5, 7, 18, 9, 11], [8, 6, 13, 10, 3]])


def test_passes_compute_what_as_many_layers_of_equal_weights_compute():
    shared, unrolled = built(passes=3), built(n_layers=6)
    weights = shared.state_dict()
    for i in (0, 1):
        own = {k.removeprefix(f"decoder.layers.{i}."): v for k, v in weights.items() if f"layers.{i}." in k}
        for j in (i, i + 2, i + 4):
            unrolled.decoder.layers[j].load_state_dict(own)
    rest = {k: v for k, v in weights.items() if "layers." not in k}
    unrolled.load_state_dict({**unrolled.state_dict(), **rest})
    assert_close(shared(TOKENS), unrolled(TOKENS))


def test_each_pass_keeps_its_own_keys_and_values():
    model = built(passes=3)
    cache = model.new_cache()
    assert len(cache.layers) == 6
    with torch.no_grad():
        full = model.hidden(TOKENS)[0]
        steps = [model.decode(TOKENS[:, :2], cache=cache)]
        steps += [model.decode(TOKENS[:, : i + 1][:, i:], cache=cache) for i in (2, 3, 4)]
    assert_close(torch.cat(steps, 1), full)


@pytest.mark.parametrize("passes", [1, 3])
def test_passes_cost_operations_and_memory_but_no_parameters(passes):
    once, again = (zoo.cost(spec(passes=n), batch=2, length=5) for n in (1, passes))
    assert again.n_parameters == once.n_parameters
    layers = {part.path: part for part in once.parts if ".layer." in part.path}
    for part in again.parts:
        if part.path in layers:
            assert part.forward == passes * layers[part.path].forward
            assert part.activation_bytes == passes * layers[part.path].activation_bytes
            assert part.cache_bytes_per_token == passes * layers[part.path].cache_bytes_per_token
