import math
import re

import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, parse
from zoo.assembly.build import build
from zoo.components.position.rotary import Rotary
from zoo.components.position.xpos import Xpos, XposSpec
from zoo.costs import NO_PRODUCTS, cost
from zoo.kinds import MODEL, POSITION
from zoo.masks import Mask
from zoo.sizes import Batch, n_kept

B, T, H, K = 2, 7, 3, 8
ROTARY = {"base": 100.0, "pairing": "half", "fraction": 1.0, "scaling": None, "max_len": 40}


def module(**changed):
    fields = ROTARY | {"gamma": 0.4, "scale_base": 5.0} | changed
    return Xpos(d_model=99, n_heads=H, **fields)


def scores(position, q, k, mask=None):
    mask = mask or Mask(causal=True)
    return position.rotate(q, mask=mask) @ position.rotate_keys(k, mask=mask).transpose(2, 3)


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
@pytest.mark.parametrize("max_len", [7, 40])
def test_each_pair_of_features_turns_and_fades_by_the_distance(pairing, max_len):
    torch.manual_seed(0)
    q, k = (torch.randn(B, H, T, K, dtype=torch.float64) for _ in range(2))
    ours = scores(module(pairing=pairing, max_len=max_len), q, k)
    theirs = torch.zeros_like(ours)
    for i in range(K // 2):
        a, b = (i, i + K // 2) if pairing == "half" else (2 * i, 2 * i + 1)
        zeta = (i / (K / 2) + 0.4) / 1.4
        q_i, k_i = torch.complex(q[..., a], q[..., b]), torch.complex(k[..., a], k[..., b])
        for n in range(T):
            for m in range(T):
                turn = complex(0, (n - m) * 100.0 ** (-2 * i / K))
                product = q_i[..., n] * k_i[..., m].conj() * torch.exp(torch.tensor(turn))
                theirs[..., n, m] += product.real * zeta ** ((n - m) / 5)
    assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_scores_are_those_of_x_transformers():
    library = pytest.importorskip("x_transformers.x_transformers")
    torch.manual_seed(1)
    q, k = (torch.randn(B, H, T, 10) for _ in range(2))
    turns, scale = library.RotaryEmbedding(6, use_xpos=True, scale_base=5, base=100).forward_from_seq_len(T)
    theirs = library.apply_rotary_pos_emb(q, turns, scale) @ library.apply_rotary_pos_emb(
        k, turns, scale**-1
    ).transpose(2, 3)
    ours = scores(module(pairing="interleaved", fraction=0.6), q, k)
    assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_queries_and_keys_are_those_of_x_transformers_where_both_count_from_one_place():
    library = pytest.importorskip("x_transformers.x_transformers")
    torch.manual_seed(2)
    x = torch.randn(B, H, T, K)
    turns, scale = library.RotaryEmbedding(K, use_xpos=True, scale_base=5, base=100).forward_from_seq_len(T)
    ours = module(pairing="interleaved")
    ours.middle = T // 2  # theirs, of each call's length
    assert_close(ours.rotate(x, mask=Mask()), library.apply_rotary_pos_emb(x, turns, scale))
    assert_close(ours.rotate_keys(x, mask=Mask()), library.apply_rotary_pos_emb(x, turns, scale**-1))


def test_where_nothing_fades_it_is_rotary():
    torch.manual_seed(0)
    x = torch.randn(B, H, T, K, dtype=torch.float64)
    ours = module(scale_base=1e9)
    rotary = Rotary(d_model=99, n_heads=H, **ROTARY)
    for rotate in (ours.rotate, ours.rotate_keys):
        assert_close(rotate(x, mask=Mask()), rotary.rotate(x, mask=Mask()))
    assert (module().rotate_keys(x, mask=Mask()) - rotary.rotate(x, mask=Mask())).abs().max() > 0.1


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_scores_far_out_are_as_exact_as_near(dtype, tolerance):
    torch.manual_seed(0)
    q, k = (torch.randn(1, 1, T, K, dtype=torch.float64) for _ in range(2))
    ours = module(scale_base=512.0)
    near = scores(ours, q, k)
    for max_len, offset in ((34_000, 17_000), (34_000, 33_000)):
        ours = module(scale_base=512.0, max_len=max_len)
        far = scores(ours, q.to(dtype), k.to(dtype), Mask(causal=True, offset=offset))
        assert_close(far.double(), near, rtol=0, atol=tolerance * float(near.abs().max()) * 4)


def test_positions_whose_scales_the_dtype_does_not_hold_are_refused():
    x = torch.randn(1, 1, 2, K)
    most = 512 * -math.log(torch.finfo(torch.float32).tiny) / 2 / math.log(1.4 / 0.4)
    assert 17_800 < most < 17_900
    ours = module(scale_base=512.0, max_len=35_000)
    assert bool(ours.rotate_keys(x, mask=Mask(offset=34_900)).isfinite().all())
    with pytest.raises(
        ValueError, match="float16 holds the scales of xpos up to 1,983 tokens from the middle"
    ):
        ours.rotate_keys(x.half(), mask=Mask(offset=3000))
    longer = module(scale_base=512.0, max_len=90_000)
    with pytest.raises(ValueError, match=r"float32 holds .* and positions 0 to 1 are asked for"):
        longer.rotate(x, mask=Mask())
    longer.rotate(x, mask=Mask(offset=30_000))
    context = {"d_model": 12, "n_heads": 3, "d_k": 4, "role": "causal"}
    XposSpec(max_len=35_000).check(**context)
    with pytest.raises(
        ValueError, match=r"max_len \(36000\) of xpos is too long for scales that float32 holds, 35,"
    ):
        XposSpec(max_len=36_000).check(**context)


def language_model(position, self_attention):
    layer = {"self_attention": self_attention, "ffn": {"type": "mlp", "d_ff": 5}}
    data = {
        "type": "decoder_only", "d_model": 12, "tokens": {"type": "tokens", "vocab_size": 11}, "position": position,
        "decoder": {"n_layers": 2, "layer": layer}, "head": {"type": "language_model", "predicts": "tokens"},
    }  # fmt: skip
    return build(parse(MODEL.entry("decoder_only").spec, data)).double().eval()


@pytest.mark.parametrize(
    "attention",
    [
        {"type": "multi_head", "n_heads": 3},
        {"type": "restricted", "n_heads": 3, "n_kv_heads": 1, "radius": 4},
        {"type": "latent", "n_heads": 3, "d_latent": 7, "d_content": 5, "d_rotated": 4, "d_v": 6},
        {"type": "global_local", "n_heads": 3, "radius": 2, "n_global": 1},
    ],
    ids=lambda attention: attention["type"],
)
@pytest.mark.parametrize("position", ["own", "combined"])
def test_decoding_from_any_offset_equals_the_whole(attention, position):
    torch.manual_seed(3)
    own = {"type": "xpos", "scale_base": 3.0, "max_len": 40}
    given = own if position == "own" else {"type": "combined", "embedded": "sinusoidal", "scored": own}
    model, tokens = language_model(given, attention), torch.randint(11, (B, 9))
    with torch.no_grad():
        whole, cache, found, start = model.decode(tokens), model.new_cache(), [], 0
        for size in (3, 1, 1, 4):
            found.append(model.decode(tokens[:, start : start + size], cache=cache))
            start += size
    assert_close(torch.cat(found, 1), whole)


def test_combined_positions_scale_keys_as_their_own():
    torch.manual_seed(0)
    own = {"type": "xpos", "scale_base": 3.0, "max_len": 40}
    data = {"type": "combined", "embedded": "sinusoidal", "scored": own}
    both, alone = (
        POSITION.build(parse(POSITION.entry(each["type"]).spec, each), d_model=24, n_heads=H)
        for each in (data, own)
    )
    x = torch.randn(B, H, T, K)
    assert torch.equal(both.rotate_keys(x, mask=Mask()), alone.rotate_keys(x, mask=Mask()))
    assert torch.equal(both.rotate(x, mask=Mask()), alone.rotate(x, mask=Mask()))


def test_it_stands_in_a_causal_stack_only():
    context = {"d_model": 12, "n_heads": 3, "d_k": 4}
    XposSpec().check(**context, role="causal")
    with pytest.raises(ValueError, match=re.escape("it belongs in a causal stack; take rotary")):
        XposSpec().check(**context, role="self")
    with pytest.raises(SpecError, match="gamma"):
        parse(XposSpec, {"gamma": 0})


def test_it_costs_and_keeps_what_rotary_does():
    spec, batch = XposSpec(), Batch(2 * T, T)
    context = {"d_model": 12, "n_heads": 3, "batch": batch}
    assert cost(POSITION, spec, **context) == NO_PRODUCTS
    assert n_kept(POSITION, spec, **context) == 0
