import pytest
import torch
from torch.testing import assert_close

from zoo.components.embedding.series_patches import SeriesPatches, SeriesPatchesSpec

B, T, P, D = 3, 11, 4, 5


def patches(**changes):
    spec = SeriesPatchesSpec(**{"series_length": T, "patch_len": P, "stride": 3, **changes})
    spec.check(d_model=D)
    module = SeriesPatches(d_model=D, **spec.model_dump(exclude={"type"}))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def vectors(module, series):
    x, mask = module(series, mask=None, types=None)
    assert mask is None
    return x


@pytest.fixture
def series():
    torch.manual_seed(0)
    return torch.randn(B, T)


def test_each_patch_is_projected_and_the_last_value_repeated_at_the_end(series):
    module = patches()
    longer = torch.cat([series, series[:, -1:].repeat(1, 3)], 1)  # 14 values
    cut = torch.stack([longer[:, i : i + P] for i in (0, 3, 6, 9)], 1)
    assert_close(vectors(module, series), cut @ module.projection.weight.T + module.projection.bias)


def test_without_padding_the_values_behind_the_last_whole_patch_are_left_out(series):
    module = patches(pad_end=False, bias=False)
    cut = torch.stack([series[:, i : i + P] for i in (0, 3, 6)], 1)
    assert_close(vectors(module, series), cut @ module.projection.weight.T)
    assert module.projection.bias is None
    changed = series.clone()
    changed[:, 10] += 1
    assert torch.equal(vectors(module, series), vectors(module, changed))


def test_values_that_fill_no_patch_may_be_left_out_at_the_start(series):
    module = patches(series_length=T, stride=4, pad_end=False, left_out="start")
    cut = torch.stack([series[:, i : i + P] for i in (3, 7)], 1)
    assert_close(vectors(module, series), cut @ module.projection.weight.T + module.projection.bias)
    padded = patches(stride=4, left_out="start")  # to 15 values, of which three are in no patch
    longer = torch.cat([series, series[:, -1:].repeat(1, 4)], 1)
    cut = torch.stack([longer[:, i : i + P] for i in (3, 7, 11)], 1)
    assert_close(vectors(padded, series), cut @ padded.projection.weight.T + padded.projection.bias)


def test_a_class_token_stands_before_the_patches(series):
    with_class, plain = patches(class_token=True), patches()
    plain.projection.load_state_dict(with_class.projection.state_dict())
    found = vectors(with_class, series)
    assert torch.equal(found[:, 1:], vectors(plain, series))
    assert torch.equal(found[:, 0], with_class.class_token.expand(B, -1))


@pytest.mark.parametrize(
    ("scaling", "level"),
    [
        ("standard", lambda row: (row.mean(), (((row - row.mean()) ** 2).mean() + 0.1).sqrt())),
        ("mean_size", lambda row: (0.0, max(row.abs().mean(), torch.tensor(0.1)))),
    ],
)
def test_a_series_is_cut_at_a_level_of_its_own(series, scaling, level):
    series = series * torch.tensor([[3.0], [0.01], [1.0]]) + 2 * (scaling == "standard")
    module, plain = patches(scaling=scaling, scaling_eps=0.1), patches()
    plain.load_state_dict(module.state_dict())
    levels = [level(row) for row in series]
    scaled = torch.stack([(row - mean) / scale for row, (mean, scale) in zip(series, levels, strict=True)])
    assert_close(vectors(module, series), vectors(plain, scaled))
    mean, scale = module.level(series)
    assert mean.shape == scale.shape == (B, 1)
    assert_close(scale[:, 0], torch.stack([scale for _, scale in levels]))


def test_scaling_is_exact_for_numbers_that_bfloat16_would_round():
    module = patches(scaling="standard").bfloat16()
    series = (torch.randn(B, T) + 200).bfloat16()
    found = vectors(module, series)
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), vectors(module.float(), series.float()), rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pad_end": False},
        {"stride": 4},
        {"patch_len": 11, "stride": 1},
        {"stride": 4, "left_out": "start", "class_token": True},
    ],
)
def test_the_spec_knows_the_length(series, changes):
    spec = SeriesPatchesSpec(**{"series_length": T, "patch_len": P, "stride": 3, **changes})
    assert vectors(patches(**changes), series).shape == (B, spec.length, D)
    example, mask = spec.example_inputs(4)
    assert mask is None
    assert vectors(patches(**changes), example).shape == (4, spec.length, D)


def test_the_papers_numbers_of_patches():
    lengths = [SeriesPatchesSpec(series_length=n, patch_len=16, stride=8).length for n in (336, 512)]
    assert lengths == [42, 64]  # PatchTST/42 and PatchTST/64


def test_with_its_weights_it_is_patch_tsts_where_nothing_is_padded():
    reference = pytest.importorskip("transformers.models.patchtst.modeling_patchtst")
    config = pytest.importorskip("transformers").PatchTSTConfig(
        context_length=10, patch_length=P, patch_stride=3, d_model=D, num_input_channels=2
    )
    cut = reference.PatchTSTPatchify(config)
    embed = reference.PatchTSTEmbedding(config)
    ours = patches(series_length=10, pad_end=False)
    ours.load_state_dict({f"projection.{k}": v for k, v in embed.input_embedding.state_dict().items()})
    series = torch.randn(B, 10, 2)
    expected = embed(cut(series))  # [B, 2, N, D]
    assert_close(vectors(ours, series.transpose(1, 2).reshape(2 * B, 10)), expected.flatten(0, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_len": 12}, r"patch_len \(12\) must be at most series_length \(11\)"),
        ({"stride": 5}, r"stride \(5\) must be at most patch_len \(4\), or values are never read"),
    ],
)
def test_impossible_patches_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        patches(**changes)


def test_other_inputs_are_refused(series):
    module = patches()
    for wrong in (series[:, 1:], series.long(), series[..., None]):
        with pytest.raises(ValueError, match=r"series must be floats \[B, 11\], not"):
            module(wrong, mask=None, types=None)
    with pytest.raises(ValueError, match="no padding and no token types"):
        module(series, mask=torch.ones(B, T, dtype=torch.bool), types=None)


def test_as_many_numbers_are_given_as_the_spec_says():
    for changes in ({}, {"bias": False}, {"class_token": True}):
        spec = SeriesPatchesSpec(**{"series_length": T, "patch_len": P, "stride": 3, **changes})
        module = patches(**changes)
        assert spec.n_parameters(d_model=D) == sum(p.numel() for p in module.parameters())
