import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.attention.restricted import RestrictedAttentionSpec
from zoo.kinds import ATTENTION
from zoo.masks import Mask

D = 12


def pair(radius, **fields):
    torch.manual_seed(0)
    spec = parse(RestrictedAttentionSpec, {"type": "restricted", "n_heads": 3, "radius": radius, **fields})
    own = ATTENTION.build(spec, d_model=D).double()
    kind = parse(
        ATTENTION.entry("multi_head").spec, {"type": "multi_head", "n_heads": 3, "kernel": "eager", **fields}
    )
    full = ATTENTION.build(kind, d_model=D).double()
    full.load_state_dict(own.state_dict())
    return own, full


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("radius", [0, 2, 50])
@pytest.mark.parametrize(
    "fields", [{}, {"n_kv_heads": 1, "soft_cap": 0.4, "qk_norm": "rms_norm", "scale": 2.0}]
)
def test_it_is_full_attention_under_a_band_mask(radius, causal, fields):
    own, full = pair(radius, **fields)
    x = torch.randn(2, 23, D, dtype=torch.float64)
    keys = torch.ones(2, 23, dtype=torch.bool)
    keys[1, 20:] = False
    got = own(x, mask=Mask(causal=causal, keys=keys), position=None, cache=None)
    expected = full(x, mask=Mask(causal=causal, keys=keys, radius=radius), position=None, cache=None)
    assert_close(got, expected)


def test_a_token_reaches_radius_positions_and_no_further():
    own, _ = pair(2)
    x = torch.randn(1, 19, D, dtype=torch.float64)
    changed = x.clone()
    changed[0, 9] += 1
    mask = Mask()
    moved = (
        own(x, mask=mask, position=None, cache=None) - own(changed, mask=mask, position=None, cache=None)
    ).abs()
    assert (moved.amax(-1)[0] > 1e-12).nonzero().flatten().tolist() == [7, 8, 9, 10, 11]


def test_across_two_sequences_it_is_refused():
    with pytest.raises(ValueError, match="one axis"):
        RestrictedAttentionSpec(radius=2).check(d_model=64, role="cross", position=None)
