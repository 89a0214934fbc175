import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.kinds import ATTENTION, POSITION
from zoo.masks import Mask

D, H, R, KC, KR, KV, T = 12, 3, 7, 5, 4, 6, 5
FIELDS = {"n_heads": H, "d_latent": R, "d_content": KC, "d_rotated": KR, "d_v": KV}


def attention(**changes):
    torch.manual_seed(0)
    spec = parse(ATTENTION.entry("latent").spec, {**FIELDS, **changes})
    return ATTENTION.build(spec, d_model=D).double()


def test_keys_and_values_are_made_of_one_vector_and_one_turned_part_serves_all_heads():
    module, x, mask = attention(), torch.randn(2, T, D, dtype=torch.float64), Mask(causal=True)
    rotary = POSITION.build(POSITION.entry("rotary").spec(), d_model=D, n_heads=H)
    down = module.to_latent(x)
    latent, turned = module.latent_norm(down[..., :R]), rotary.rotate(down[:, None, :, R:], mask=mask)[:, 0]
    made, q = module.key_value(latent).view(2, T, H, KC + KV), module.query(x).view(2, T, H, KC + KR)
    outs = []
    for h in range(H):
        key = torch.cat([made[:, :, h, :KC], turned], dim=-1)
        own = rotary.rotate(q[:, None, :, h, KC:], mask=mask)[:, 0]
        scores = torch.cat([q[:, :, h, :KC], own], dim=-1) @ key.transpose(1, 2) / 3  # √(5 + 4)
        weights = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf).softmax(-1)
        outs.append(weights @ made[:, :, h, KC:])
    expected = module.output(torch.cat(outs, dim=-1))
    assert_close(module(x, mask=mask, position=rotary, cache=None), expected)


def test_decoding_keeps_the_short_vector_and_the_turned_part_alone():
    module, cache = attention(), attention().new_cache()
    with torch.no_grad():
        module(torch.randn(2, T, D, dtype=torch.float64), mask=Mask(causal=True), position=None, cache=cache)
    keys, values = cache.append(torch.zeros(2, 1, 1, R).double(), torch.zeros(2, 1, 1, KR).double())
    assert (list(keys.shape), list(values.shape)) == ([2, 1, T + 1, R], [2, 1, T + 1, KR])


def test_a_memory_is_refused():
    x = torch.randn(2, T, D, dtype=torch.float64)
    with pytest.raises(ValueError, match="reads no memory"):
        attention()(x, x, mask=Mask(), position=None, cache=None)
