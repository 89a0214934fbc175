import pytest
import torch
from torch.testing import assert_close

from zoo.components.norm.batch_norm import BatchNorm
from zoo.components.norm.dynamic_tanh import DynamicTanh
from zoo.components.norm.layer_norm import LayerNorm
from zoo.components.norm.none import NoNorm
from zoo.components.norm.rms_norm import RMSNorm
from zoo.components.norm.scale_norm import ScaleNorm
from zoo.kinds import NORM

D = 6


def rms_norm(d_model=D, eps=1e-3, **fields):
    fields = {"gain": True, "unit_offset": False, "casts_before_gain": False, **fields}
    norm = RMSNorm(d_model=d_model, eps=eps, **fields)
    torch.nn.init.normal_(norm.weight)
    return norm


EVERY_NORM = [
    pytest.param(spec, id=f"{name}-{i}")
    for name in NORM.names()
    for i, spec in enumerate(NORM.examples(name))
]


def drawn(norm):
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return norm


@pytest.mark.parametrize("gain", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm_is_its_formula_with_the_biased_variance(gain, bias):
    torch.manual_seed(0)
    norm = drawn(LayerNorm(d_model=D, eps=1e-3, gain=gain, bias=bias))
    x = torch.randn(2, 5, D) * 3 + 1
    variance = ((x - x.mean(-1, keepdim=True)) ** 2).sum(-1, keepdim=True) / D
    expected = (x - x.mean(-1, keepdim=True)) / (variance + 1e-3).sqrt()
    expected = expected * (norm.weight if gain else 1) + (norm.bias if bias else 0)
    assert_close(norm(x), expected)


@pytest.mark.parametrize(
    ("gain", "bias", "names"),
    [
        (True, True, ["weight", "bias"]),
        (True, False, ["weight"]),
        (False, True, ["bias"]),
        (False, False, []),
    ],
)
def test_layer_norm_has_the_parameters_asked_for(gain, bias, names):
    norm = LayerNorm(d_model=D, eps=1e-6, gain=gain, bias=bias)
    assert [name for name, _ in norm.named_parameters()] == names


def test_layer_norm_without_parameters_is_that_of_olmo():
    olmo = pytest.importorskip("transformers.models.olmo.modeling_olmo")
    x = torch.randn(2, 5, 13) * 3 + 1
    norm = LayerNorm(d_model=13, eps=1e-5, gain=False, bias=False)
    assert torch.equal(norm(x), olmo.OlmoLayerNorm(13)(x))


def test_rms_norm_is_its_formula_and_does_not_centre():
    torch.manual_seed(0)
    norm = rms_norm()
    x = torch.randn(2, 5, D) + 4
    assert_close(norm(x), x / ((x**2).mean(-1, keepdim=True) + 1e-3).sqrt() * norm.weight)


def test_an_offset_gain_starts_at_one_and_learns_the_difference():
    norm, plain = rms_norm(unit_offset=True), rms_norm()
    x = torch.randn(2, 5, D)
    plain.weight.data = 1 + norm.weight.data
    assert_close(norm(x), plain(x))
    fresh = [
        RMSNorm(d_model=D, eps=1e-6, gain=True, unit_offset=offset, casts_before_gain=False)
        for offset in (True, False)
    ]
    assert_close(fresh[0](x), fresh[1](x))
    assert not fresh[0].weight.any()


def test_rms_norm_without_a_gain_is_one_whose_gain_is_one():
    plain, bare = (
        RMSNorm(d_model=D, eps=1e-3, gain=gain, unit_offset=False, casts_before_gain=False)
        for gain in (True, False)
    )
    x = torch.randn(2, 5, D)
    assert_close(bare(x), plain(x))
    assert list(bare.parameters()) == []
    with pytest.raises(ValueError, match="unit_offset is of the gain, and there is none"):
        NORM.entry("rms_norm").spec(gain=False, unit_offset=True).check(d_model=D)


REFERENCES = [
    ("llama.modeling_llama", "LlamaRMSNorm", {"casts_before_gain": True}),
    ("t5.modeling_t5", "T5LayerNorm", {"casts_before_gain": True}),
    ("olmo2.modeling_olmo2", "Olmo2RMSNorm", {}),
    ("gemma.modeling_gemma", "GemmaRMSNorm", {"unit_offset": True}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("module", "cls", "options"), REFERENCES, ids=[name for _, name, _ in REFERENCES])
@pytest.mark.parametrize("d_model", [6, 13, 768])
def test_rms_norm_is_bit_for_bit_that_of_transformers(module, cls, options, dtype, d_model):
    models = pytest.importorskip(f"transformers.models.{module}")
    torch.manual_seed(d_model)
    norm = rms_norm(d_model, eps=1e-6, **options).to(dtype)
    reference = getattr(models, cls)(d_model, eps=1e-6).to(dtype)
    reference.load_state_dict(norm.state_dict())
    x = (torch.randn(3, 17, d_model) * 3).to(dtype)
    assert norm(x).dtype == dtype
    assert torch.equal(norm(x), reference(x))


def test_the_two_cast_orders_agree_in_float32_and_differ_in_bfloat16():
    before, after = rms_norm(65, casts_before_gain=True), rms_norm(65)
    after.load_state_dict(before.state_dict())
    x = torch.randn(3, 17, 65)
    assert torch.equal(before(x), after(x))
    x = x.bfloat16()
    assert not torch.equal(before.bfloat16()(x), after.bfloat16()(x))


def test_scale_norm_gives_every_vector_its_length():
    torch.manual_seed(0)
    norm = ScaleNorm(d_model=D, eps=1e-5)
    x = torch.randn(2, 5, D) * 7
    assert_close(norm(x).norm(dim=-1), torch.full((2, 5), D**0.5))
    norm.length.data.fill_(1.75)
    assert_close(norm(x), 1.75 * x / (x**2).sum(-1, keepdim=True).sqrt())


def test_scale_norm_divides_by_no_less_than_eps():
    norm = ScaleNorm(d_model=D, eps=0.5)
    x = torch.zeros(1, 1, D, requires_grad=True)
    norm(x).sum().backward()
    assert_close(x.grad, torch.full((1, 1, D), D**0.5 / 0.5))
    assert_close(norm(torch.full((1, 1, D), 0.1)), torch.full((1, 1, D), 0.1 * D**0.5 / 0.5))


def batch_norm(eps=1e-3, momentum=0.3):
    torch.manual_seed(0)
    return drawn(BatchNorm(d_model=D, eps=eps, momentum=momentum))


def test_batch_norm_is_by_all_places_in_training_and_by_the_running_statistics_else():
    norm = batch_norm()
    batches = [torch.randn(3, 5, D) * 3 + 1, torch.randn(2, 4, D) - 2]
    mean, var = torch.zeros(D), torch.ones(D)
    for x in batches:
        rows = x.reshape(-1, D)
        own = ((rows - rows.mean(0)) ** 2).sum(0) / len(rows)
        expected = (x - rows.mean(0)) / (own + 1e-3).sqrt() * norm.weight + norm.bias
        assert_close(norm(x), expected)
        mean = 0.7 * mean + 0.3 * rows.mean(0)
        var = 0.7 * var + 0.3 * own * len(rows) / (len(rows) - 1)
    x = torch.randn(2, 5, D)
    assert_close(norm.eval()(x), (x - mean) / (var + 1e-3).sqrt() * norm.weight + norm.bias)
    assert_close([norm.running_mean, norm.running_var], [mean, var])


def test_batch_norm_is_that_of_torch_over_patches():
    norm, theirs = batch_norm(), torch.nn.BatchNorm1d(D, eps=1e-3, momentum=0.3)
    theirs.load_state_dict({**norm.state_dict(), "num_batches_tracked": torch.tensor(0)})
    x = torch.randn(3, 5, D)
    for _ in range(2):
        assert_close(norm(x), theirs(x.transpose(1, 2)).transpose(1, 2))
    assert_close(norm.eval()(x), theirs.eval()(x.transpose(1, 2)).transpose(1, 2))


def test_batch_norm_has_no_variance_of_one_place_in_training():
    with pytest.raises(ValueError, match="batch_norm in training needs two places or more"):
        batch_norm()(torch.randn(1, 1, D))
    assert batch_norm().eval()(torch.randn(1, 1, D)).isfinite().all()


def test_batch_norm_sees_later_places_in_training_alone():
    x = torch.randn(2, 4, D)
    changed = torch.cat([x[:, :3], x[:, 3:] + 5], 1)
    for is_training, sees in ((True, True), (False, False)):
        one, other = (batch_norm().train(is_training)(each)[:, :3] for each in (x, changed))
        assert torch.allclose(one, other, atol=1e-3) is not sees


def test_batch_norm_takes_padding_for_tokens():
    x, padded = torch.randn(2, 3, D), torch.randn(2, 1, D)
    assert not torch.allclose(batch_norm()(x), batch_norm()(torch.cat([x, padded], 1))[:, :3], atol=1e-3)


def test_dynamic_tanh_is_its_formula():
    torch.manual_seed(0)
    norm = DynamicTanh(d_model=D, alpha=0.8)
    x = torch.randn(2, 5, D) * 3
    assert_close(norm(x), torch.tanh(0.8 * x))
    drawn(norm)
    exps = (2 * norm.alpha * x).exp()
    assert_close(norm(x), norm.weight * (exps - 1) / (exps + 1) + norm.bias)


def test_no_norm_gives_what_it_is_given():
    x = torch.randn(2, 5, D)
    assert NoNorm(d_model=D)(x) is x


@pytest.mark.parametrize("spec", EVERY_NORM)
def test_a_norm_keeps_a_narrow_dtype_and_computes_as_if_it_were_wide(spec):
    torch.manual_seed(0)
    norm = drawn(NORM.build(spec, d_model=D))
    x = torch.randn(2, 5, D)
    wide = norm(x)
    narrow = norm.bfloat16()(x.bfloat16())
    assert narrow.dtype == torch.bfloat16
    assert_close(narrow.float(), wide, atol=0.05, rtol=0.02)


@pytest.mark.parametrize("spec", EVERY_NORM)
def test_a_norm_works_under_autocast_on_what_a_linear_map_gives(spec):
    torch.manual_seed(0)
    norm, linear = drawn(NORM.build(spec, d_model=D)), torch.nn.Linear(D, D)
    x = torch.randn(2, 5, D)
    plain = norm(linear(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(linear(x))
    out.float().sum().backward()
    assert linear.weight.grad.isfinite().all()
    assert_close(out.float(), plain, atol=0.05, rtol=0.05)
