import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, parse
from zoo.assembly.build import build
from zoo.components.position.alibi import Alibi
from zoo.components.position.key_alibi import KeyAlibi, eight_bits
from zoo.kinds import MODEL
from zoo.masks import Mask

B, T, S, K = 2, 5, 7, 4


def bias(n_heads, mask, *, n_keys=S, scale=1.0, kind=KeyAlibi, dtype=torch.float32):
    q, k = torch.zeros(B, n_heads, T, K, dtype=dtype), torch.zeros(B, 1, n_keys, K, dtype=dtype)
    return kind(d_model=12, n_heads=n_heads).bias(q, k, scale=scale, mask=mask)


def test_a_bias_is_slope_times_place_times_scale_by_hand():
    ours = bias(3, Mask(causal=True, offset=2), scale=0.3)
    expected = torch.tensor([[m * s * 0.3 for s in range(S)] for m in (2**-4, 2**-8, 2**-2)])
    assert_close(ours, expected[None, :, None].expand(-1, -1, T, -1))


def test_places_from_256_on_are_told_apart_by_two_then_by_four():
    places = bias(3, Mask(), n_keys=520)[0, 1, 0] * 2**8  # of the slope 2^-8
    assert places[254:262].tolist() == [254, 255, 256, 256, 258, 260, 260, 260]
    assert places[511:519].tolist() == [512, 512, 512, 512, 516, 516, 516, 520]


def test_eight_bits_are_those_of_bfloat16_halves_to_even():
    torch.manual_seed(0)
    drawn = torch.rand(10_000) * torch.exp2(torch.randint(-7, 20, (10_000,)))
    x = torch.cat([drawn[drawn > 2**-8], torch.arange(70_000), torch.tensor([2**-8, 0.4140625, 0.416015625])])
    assert torch.equal(eight_bits(x.double()), x.bfloat16().double())


@pytest.mark.parametrize("n_heads", [*range(1, 21), 71, 112])
def test_biases_are_those_of_falcon_to_the_last_bit(n_heads):
    falcon = pytest.importorskip("transformers.models.falcon.modeling_falcon")
    keys = torch.ones(B, 700, dtype=torch.bool)
    keys[0, :3] = keys[1, 2:5] = False
    theirs = falcon.build_alibi_tensor(keys.long(), n_heads, torch.float32).view(B, n_heads, 1, 700)
    ours = bias(n_heads, Mask(causal=True, keys=keys, offset=695), n_keys=700)
    assert torch.equal(ours * keys[:, None, None], theirs.expand(-1, -1, T, -1))


def test_while_eight_bits_suffice_weights_are_those_of_alibi_with_scaled_slopes():
    torch.manual_seed(0)
    scores, mask = torch.randn(B, 3, T, S, dtype=torch.float64), Mask(causal=True, offset=2)
    hidden = mask.bias(T, S, torch.float64, scores.device)
    ours = bias(3, mask, scale=0.3, dtype=torch.float64)
    alibi = bias(3, mask, kind=Alibi, dtype=torch.float64)
    weights = [(scores + each + hidden).softmax(-1) for each in (ours, 0.3 * alibi)]
    assert_close(*weights)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")  # torch's own, at import
def test_a_compiler_that_fuses_operations_keeps_the_roundings():
    def run():
        return bias(12, Mask(), n_keys=3000)

    torch.compiler.reset()
    assert_close(torch.compile(run)(), run(), rtol=1e-6, atol=0)


def spec_of(name, slot, stack):
    layer = {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": {"type": "mlp", "d_ff": 5}}
    data = {
        "d_model": 12, slot: {"type": "tokens", "vocab_size": 11}, "position": "key_alibi",
        stack: {"n_layers": 2, "layer": layer}, "head": "none",
    }  # fmt: skip
    return parse(MODEL.entry(name).spec, data)


@torch.no_grad()
def test_padding_on_the_left_counts_for_nothing_in_steps_too():
    torch.manual_seed(3)
    model = build(spec_of("decoder_only", "tokens", "decoder")).double().eval()
    tokens, mask = torch.randint(11, (B, 9)), torch.arange(9) >= torch.tensor([[0], [3]])
    alone = model(tokens[1:, 3:])
    assert_close(model(tokens, mask=mask)[1:, 3:], alone)
    cache, found, start = model.new_cache(), [], 0
    for stop in (5, 6, 9):
        found.append(model.decode(tokens[:, start:stop], mask=mask[:, :stop], cache=cache))
        start = stop
    assert_close(torch.cat(found, 1)[1:, 3:], alone)


def test_where_later_keys_are_seen_it_is_refused():
    with pytest.raises(SpecError, match=r"key_alibi raises the scores of later keys.*take alibi"):
        build(spec_of("encoder_only", "inputs", "encoder"))
