import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.sinusoidal import sinusoids
from zoo.components.position.standardised_sinusoidal import StandardisedSinusoidal, StandardisedSinusoidalSpec
from zoo.masks import Mask

N, D = 7, 6


def positions(**changes):
    return StandardisedSinusoidal(
        d_model=D, n_heads=3, **{"max_len": N, "base": 10000.0, "std": 0.1, **changes}
    )


def test_what_is_added_is_the_papers_sinusoids_of_mean_0_and_the_deviation_asked_for():
    added = positions(std=0.3, base=50.0).embed(torch.zeros(2, N, D, dtype=torch.float64), mask=Mask())[0]
    waves = sinusoids(torch.arange(N), D, 50.0, "interleaved")
    assert abs(added.mean()) < 1e-12
    assert_close(added.std(), torch.tensor(0.3, dtype=torch.float64))
    assert_close(torch.corrcoef(torch.stack([added.flatten(), waves.flatten()]))[0, 1].item(), 1.0)


def test_they_are_those_of_patch_tst():
    patchtst = pytest.importorskip("transformers.models.patchtst.modeling_patchtst")
    config = pytest.importorskip("transformers").PatchTSTConfig(d_model=D, positional_encoding_type="sincos")
    theirs = patchtst.PatchTSTPositionalEncoding(config, N).position_enc
    assert_close(positions().embed(torch.zeros(1, N, D), mask=Mask())[0], theirs.detach())


def test_a_shorter_sequence_has_those_of_its_places_and_a_longer_one_is_refused():
    whole = positions().embed(torch.zeros(1, N, D), mask=Mask())
    assert torch.equal(positions().embed(torch.zeros(1, 3, D), mask=Mask()), whole[:, :3])
    with pytest.raises(ValueError, match=r"a sequence of 8 tokens is longer than max_len \(7\) of the sinus"):
        positions().embed(torch.zeros(1, 8, D), mask=Mask())


def test_padding_before_a_token_does_not_count():
    real = torch.tensor([[False, False, True, True], [True, True, True, True]])
    found = positions().embed(torch.zeros(2, 4, D), mask=Mask(keys=real))
    assert torch.equal(found[0, 2:], found[1, :2])


def test_an_odd_width_is_refused():
    spec = StandardisedSinusoidalSpec(max_len=N)
    with pytest.raises(ValueError, match=r"d_model \(5\) must be even"):
        spec.check(d_model=5, n_heads=1, d_k=5, role="self")
