import math

import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, check, parse
from zoo.components.position.rotary import Rotary, RotarySpec
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING
from zoo.masks import Mask

B, T, H, K = 2, 7, 3, 8
CPU = torch.device("cpu")


def module(**changed):
    fields = {"base": 10000.0, "pairing": "half", "fraction": 1.0, "scaling": None, "max_len": None} | changed
    if isinstance(fields["scaling"], dict):
        fields["scaling"] = scaling_spec(**fields["scaling"])
    return Rotary(d_model=99, n_heads=H, **fields)


def scaling_spec(**fields):
    return ROTARY_SCALING.entry(fields["type"]).spec.model_validate(fields)


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_products_depend_on_distance_only(pairing):
    torch.manual_seed(0)
    rotary = module(base=100.0, pairing=pairing)
    q, k = torch.randn(1, 1, 1, 6, dtype=torch.float64), torch.randn(1, 1, 1, 6, dtype=torch.float64)

    def product(i, j):
        return (rotary.rotate(q, mask=Mask(offset=i)) * rotary.rotate(k, mask=Mask(offset=j))).sum()

    assert_close(product(7, 3), product(104, 100))
    assert (product(7, 3) - product(7, 4)).abs() > 1e-3


def test_the_first_pair_turns_by_one_radian_a_token():
    x = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 4)
    half = module().rotate(x, mask=Mask(offset=2)).flatten()
    assert_close(half, torch.tensor([math.cos(2), 0.0, math.sin(2), 0.0]))
    pairs = module(pairing="interleaved").rotate(x, mask=Mask(offset=2)).flatten()
    assert_close(pairs, torch.tensor([math.cos(2), math.sin(2), 0.0, 0.0]))


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_each_pair_is_turned_as_a_complex_number(pairing):
    torch.manual_seed(0)
    x = torch.randn(B, H, T, K, dtype=torch.float64)
    ours = module(base=30.0, pairing=pairing).rotate(x, mask=Mask(causal=True, offset=5))
    for t in range(T):
        for i in range(K // 2):
            a, b = (i, i + K // 2) if pairing == "half" else (2 * i, 2 * i + 1)
            angle = torch.tensor((5 + t) * 30.0 ** (-2 * i / K), dtype=torch.float64)
            turned = torch.complex(x[:, :, t, a], x[:, :, t, b]) * torch.exp(1j * angle)
            assert_close(ours[:, :, t, a], turned.real)
            assert_close(ours[:, :, t, b], turned.imag)


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_a_fraction_turns_the_first_features_as_if_they_were_all(pairing):
    torch.manual_seed(0)
    x = torch.randn(B, H, T, 12, dtype=torch.float64)
    ours = module(pairing=pairing, fraction=0.34).rotate(x, mask=Mask())  # int(0.34 · 12) = 4
    assert_close(ours[..., :4], module(pairing=pairing).rotate(x[..., :4], mask=Mask()))
    assert torch.equal(ours[..., 4:], x[..., 4:])
    assert (ours[:, :, 1:, :4] - x[:, :, 1:, :4]).abs().max() > 0.1


def llama(head_size, rope, max_len):
    transformers = pytest.importorskip("transformers")
    return transformers.LlamaConfig(
        hidden_size=3 * head_size, num_attention_heads=3, num_key_value_heads=1, head_dim=head_size,
        max_position_embeddings=max_len, rope_parameters=rope,
    )  # fmt: skip


YARN = {"factor": 4.0, "original_max_position_embeddings": 41}
LLAMA3 = {"rope_type": "llama3", "original_max_position_embeddings": 57}
# Our fields, head size, base, the reference's parameters, its maximal length, the length seen.
SCALINGS = [
    ({"type": "linear", "factor": 3.5}, 10, 500.0, {"rope_type": "linear", "factor": 3.5}, 23, 9),
    ({"type": "linear", "factor": 1.0}, 6, 10000.0, {"rope_type": "linear", "factor": 1.0}, 23, 9),
    ({"type": "dynamic_ntk", "factor": 2.5, "original_max_len": 23}, 10, 500.0,
     {"rope_type": "dynamic", "factor": 2.5}, 23, 9),
    ({"type": "dynamic_ntk", "factor": 2.5, "original_max_len": 23}, 10, 500.0,
     {"rope_type": "dynamic", "factor": 2.5}, 23, 77),
    ({"type": "dynamic_ntk", "factor": 8.0, "original_max_len": 5}, 14, 10000.0,
     {"rope_type": "dynamic", "factor": 8.0}, 5, 31),
    ({"type": "yarn", "factor": 4.0, "original_max_len": 41}, 32, 10000.0, YARN, 164, 9),
    ({"type": "yarn", "factor": 4.0, "original_max_len": 41, "truncate": False}, 22, 500.0,
     YARN | {"truncate": False}, 164, 9),
    ({"type": "yarn", "factor": 16.0, "original_max_len": 4096, "beta_fast": 20.0, "beta_slow": 2.0,
      "attention_factor": 1.3}, 64, 150000.0,
     {"factor": 16.0, "original_max_position_embeddings": 4096, "beta_fast": 20.0, "beta_slow": 2.0,
      "attention_factor": 1.3}, 65536, 9),
    ({"type": "yarn", "factor": 40.0, "original_max_len": 4096, "mscale": 0.7, "mscale_all_dim": 1.2}, 64, 10000.0,
     {"factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 0.7, "mscale_all_dim": 1.2}, 163840, 9),
    ({"type": "yarn", "factor": 4.0, "original_max_len": 5}, 12, 10000.0,  # both borders below the first pair
     YARN | {"original_max_position_embeddings": 5}, 20, 9),
    ({"type": "llama3", "factor": 8.0, "original_max_len": 8192}, 128, 500000.0,
     {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192}, 131072, 9),
    ({"type": "llama3", "factor": 32.0, "original_max_len": 57, "low_freq_factor": 0.5, "high_freq_factor": 9.0},
     26, 700.0, LLAMA3 | {"factor": 32.0, "low_freq_factor": 0.5, "high_freq_factor": 9.0}, 1024, 9),
    ({"type": "llama3", "factor": 1.5, "original_max_len": 57, "low_freq_factor": 2.0, "high_freq_factor": 3.0},
     26, 700.0, LLAMA3 | {"factor": 1.5, "low_freq_factor": 2.0, "high_freq_factor": 3.0}, 1024, 9),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "size", "base", "rope", "max_len", "length"), SCALINGS)
def test_scaled_turns_are_those_of_transformers(fields, size, base, rope, max_len, length):
    utils = pytest.importorskip("transformers.modeling_rope_utils")
    rope = {"rope_type": "yarn", "rope_theta": base} | rope
    config = llama(size, rope, max_len)
    theirs, their_growth = utils.ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, CPU, seq_len=length)
    ours, growth = ROTARY_SCALING.build(scaling_spec(**fields))(base, size, length, CPU)
    assert_close(ours.float(), theirs, rtol=1e-6, atol=0)
    assert growth == pytest.approx(their_growth, rel=1e-9)


@pytest.mark.parametrize("n_given", [4, 37])  # 37: beyond every original_max_len of a dynamic scaling
@pytest.mark.parametrize(
    ("fields", "size", "base", "rope", "max_len", "length"), [*SCALINGS, (None, 10, 70.0, {}, 23, 9)]
)
def test_rotation_is_that_of_llama(fields, size, base, rope, max_len, length, n_given):
    modeling = pytest.importorskip("transformers.models.llama.modeling_llama")
    rope = {"rope_type": "yarn" if fields else "default", "rope_theta": base} | rope
    torch.manual_seed(2)
    q, k = torch.randn(B, H, n_given, size), torch.randn(B, 1, n_given, size)
    table = modeling.LlamaRotaryEmbedding(llama(size, rope, max_len))
    cos, sin = table(q, torch.arange(n_given)[None])
    ours, mask = module(base=base, scaling=fields), Mask(causal=True)
    for given, theirs in zip((q, k), modeling.apply_rotary_pos_emb(q, k, cos, sin), strict=True):
        assert_close(ours.rotate(given, mask=mask), theirs, rtol=1e-5, atol=1e-5)


def test_partial_rotation_is_that_of_gpt_neox():
    neox = pytest.importorskip("transformers.models.gpt_neox.modeling_gpt_neox")
    transformers = pytest.importorskip("transformers")
    config = transformers.GPTNeoXConfig(
        hidden_size=3 * 16, num_attention_heads=3, max_position_embeddings=23,
        rope_parameters={"rope_type": "default", "rope_theta": 60.0, "partial_rotary_factor": 0.25},
    )  # fmt: skip
    torch.manual_seed(2)
    q, k = torch.randn(B, H, T, 16), torch.randn(B, H, T, 16)
    cos, sin = neox.GPTNeoXRotaryEmbedding(config)(q, torch.arange(T)[None])
    theirs, _ = neox.apply_rotary_pos_emb(q, k, cos, sin)
    assert_close(module(base=60.0, fraction=0.25).rotate(q, mask=Mask()), theirs, rtol=1e-5, atol=1e-5)


def test_interleaved_rotation_is_that_of_gpt_j():
    gptj = pytest.importorskip("transformers.models.gptj.modeling_gptj")
    torch.manual_seed(2)
    q = torch.randn(B, T, H, K)
    table = gptj.create_sinusoidal_positions(T, K)
    sin, cos = table[:, : K // 2][None], table[:, K // 2 :][None]
    theirs = gptj.apply_rotary_pos_emb(q, sin, cos).transpose(1, 2)
    ours = module(pairing="interleaved").rotate(q.transpose(1, 2), mask=Mask())
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_ntk_keeps_the_fastest_pair_and_slows_the_slowest_by_the_factor():
    scaled, growth = ROTARY_SCALING.build(scaling_spec(type="ntk", factor=5.0))(300.0, 10, 9, CPU)
    plain = turns(300.0, 10, CPU)
    assert_close(scaled[0], plain[0])
    assert_close(scaled[-1], plain[-1] / 5)
    assert_close(scaled, turns(300.0 * 5 ** (10 / 8), 10, CPU))
    assert growth == 1


def test_dynamic_scaling_sees_the_length_with_the_cache():
    rotary = module(scaling={"type": "dynamic_ntk", "factor": 2.0, "original_max_len": 6})
    x = torch.randn(B, H, 9, K, dtype=torch.float64)
    whole = rotary.rotate(x, mask=Mask(causal=True))
    assert_close(rotary.rotate(x[:, :, 7:], mask=Mask(causal=True, offset=7)), whole[:, :, 7:])
    short = rotary.rotate(x[:, :, :6], mask=Mask(causal=True))
    assert_close(short, module().rotate(x[:, :, :6], mask=Mask()))
    assert (short - whole[:, :, :6]).abs().max() > 1e-3


def test_sizes_that_do_not_pair_are_refused():
    context = {"d_model": 20, "n_heads": 2, "role": "self"}
    with pytest.raises(ValueError, match=r"d_k \(5\) must be even"):
        RotarySpec().check(d_k=5, **context)
    with pytest.raises(ValueError, match=r"d_k \(10\) times fraction \(0.5\) is 5, which must be even"):
        RotarySpec(fraction=0.5).check(d_k=10, **context)
    with pytest.raises(ValueError, match=r"d_k \(4\) times fraction \(0.2\) is 0, which must be even and at"):
        RotarySpec(fraction=0.2).check(d_k=4, **context)
    ntk = {"type": "ntk", "factor": 2.0}
    (problem,) = check(RotarySpec(scaling=ntk), "here", d_k=2, **context)
    assert problem.path == "here.scaling"
    assert "2 features turn, at least 4 must" in problem.message
    assert check(RotarySpec(scaling=ntk, fraction=0.5), d_k=8, **context) == []
    # of features that do not pair there is nothing more to say
    assert [each.path for each in check(RotarySpec(scaling=ntk), "here", d_k=3, **context)] == ["here"]


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"type": "lama3"}, r"scaling.type: no rotary_scaling is registered as 'lama3'; did you mean 'llama3'\? \("),
        ({"type": "linear"}, "scaling.factor: missing key; give a number, at least 1"),
        ({"factor": 2.0}, r"scaling.type: missing key; give the name of a component \(known: dynamic_ntk, linear"),
        ({"type": "yarn", "factor": 0.5, "original_max_len": 9}, "scaling.factor: must be at least 1, got 0.5"),
        ({"type": "yarn", "factor": 2.0, "orignal_max_len": 9}, "did you mean 'scaling.original_max_len'"),
        ({"type": "linear", "factor": "8"}, "scaling.factor: must be a number, got the string '8'"),
        ("llama3", "scaling.factor: missing key"),
        (3, r"scaling: must be a component of kind rotary_scaling \("),
        ({"type": "yarn", "factor": 2, "original_max_len": 9, "mscale": 1.0}, "give both or none"),
        ({"type": "yarn", "factor": 2, "original_max_len": 9, "mscale": 1.0, "mscale_all_dim": 1.0,
          "attention_factor": 1.0}, "attention_factor and mscale say the same thing"),
        ({"type": "yarn", "factor": 2, "original_max_len": 9, "beta_fast": 0.5}, r"beta_fast \(0.5\) must be at"),
        ({"type": "llama3", "factor": 2, "original_max_len": 9, "high_freq_factor": 1.0},
         r"high_freq_factor \(1\) must be above low_freq_factor \(1\)"),
    ],
)  # fmt: skip
def test_a_wrong_scaling_is_refused_in_words_of_its_own(scaling, message):
    with pytest.raises(SpecError, match=message):
        parse(RotarySpec, {"scaling": scaling})


@pytest.mark.parametrize("name", ROTARY_SCALING.names())
def test_every_scaling_slows_some_pair_and_quickens_none(name):
    for spec in ROTARY_SCALING.examples(name):
        size = 2 * len(getattr(spec, "long", range(6)))
        scaled, growth = ROTARY_SCALING.build(spec)(50.0, size, 33, CPU)
        plain = turns(50.0, size, CPU)
        assert (scaled <= plain * (1 + 1e-12)).all()
        assert (scaled < plain * 0.9).any()
        assert growth >= 1


def test_a_sequence_past_the_end_is_refused_and_one_up_to_it_is_as_without_an_end():
    x = torch.randn(B, H, T, K)
    assert torch.equal(module(max_len=T).rotate(x, mask=Mask()), module().rotate(x, mask=Mask()))
    with pytest.raises(ValueError, match="a sequence of 8 tokens is longer than max_len"):
        module(max_len=T).rotate(x, mask=Mask(offset=1))
