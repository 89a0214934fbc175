import pytest
import torch
from torch.testing import assert_close

from zoo.components.embedding.series_steps import SeriesSteps, SeriesStepsSpec

B, N, P, D = 3, 5, 4, 7


def steps(**changes):
    spec = SeriesStepsSpec(**{"patch_len": P, **changes})
    module = SeriesSteps(d_model=D, **spec.model_dump(exclude={"type"}))
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def vectors(module, series):
    x, mask = module(series, mask=None, types=None)
    assert mask is None
    return x


def test_each_step_is_projected_by_itself():
    series, module = torch.randn(B, N * P), steps()
    cut = torch.stack([series[:, i * P : (i + 1) * P] for i in range(N)], 1)
    assert_close(vectors(module, series), cut @ module.projection.weight.T + module.projection.bias)
    changed = series.clone()
    changed[:, 2 * P] += 1
    assert (vectors(module, changed) != vectors(module, series)).any(2).tolist() == [[0, 0, 1, 0, 0]] * B


def test_a_step_may_be_one_value():
    series, module = torch.randn(B, 6), steps(patch_len=1, bias=False)
    assert_close(vectors(module, series), series[..., None] * module.projection.weight[:, 0])
    assert module.projection.bias is None


def test_the_spec_says_what_a_place_stands_for_and_how_many_numbers_it_has():
    for changes in ({}, {"patch_len": 1, "bias": False}):
        spec, module = SeriesStepsSpec(**{"patch_len": P, **changes}), steps(**changes)
        example, mask = spec.example_inputs(B)
        assert mask is None
        assert vectors(module, example).shape == (B, example.shape[1] // spec.values_per_place, D)
        assert spec.n_parameters(d_model=D) == sum(p.numel() for p in module.parameters())


def test_other_inputs_are_refused():
    module, series = steps(), torch.randn(B, N * P)
    for wrong in (series[:, 1:], series.long(), series[..., None]):
        with pytest.raises(ValueError, match=r"series must be floats \[B, T\], T a multiple of 4, not"):
            module(wrong, mask=None, types=None)
    with pytest.raises(ValueError, match="no padding and no token types"):
        module(series, mask=torch.ones(B, N * P, dtype=torch.bool), types=None)
