import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.embedding.series_patches import SeriesPatchesSpec
from zoo.components.head.flattened_regression import FlattenedRegression, FlattenedRegressionSpec

B, T, D, N = 2, 5, 6, 3


def head(*, bias=True, dropout=0.0):
    torch.manual_seed(0)
    module = FlattenedRegression(
        d_model=D, embeddings={}, n_places=T, n_outputs=N, bias=bias, dropout=dropout
    )
    return module.eval()


def test_each_place_has_weights_of_its_own():
    module, hidden = head(), torch.randn(B, T, D)
    weight = module.output.weight.view(N, T, D)
    assert_close(module(hidden), torch.einsum("btd,ntd->bn", hidden, weight) + module.output.bias)
    assert head(bias=False).output.bias is None


def test_a_vector_at_padding_counts_as_zero():
    module, hidden, mask = head(), torch.randn(B, T, D), torch.rand(B, T) > 0.5
    assert 0 < mask.sum() < B * T
    assert_close(module(hidden, mask=mask), module(hidden * mask[..., None]))


def test_the_loss_is_the_squared_error_of_all_numbers():
    module, hidden, values = head(), torch.randn(7, T, D), torch.randn(7, N)
    sums = module.loss(hidden, values, mask=None, scale=None)
    wanted = sum((module(hidden)[i, j] - values[i, j]) ** 2 for i in range(7) for j in range(N))
    assert_close(sums.loss, wanted)
    assert_close(sums.nll, wanted.detach())
    assert sums.count == 7 * N
    with pytest.raises(ValueError, match=r"values must have the shape \[7, 3\], not \[7\]"):
        module.loss(hidden, values[:, 0], mask=None, scale=None)


def test_with_a_scale_the_error_is_in_its_units():
    module, hidden, values = head(), torch.randn(7, T, D), torch.randn(7, N)
    scale = torch.rand(7) + 0.5
    wanted = sum(
        (scale[i] * module(hidden)[i, j] - scale[i] * values[i, j]) ** 2 for i in range(7) for j in range(N)
    )
    assert_close(module.loss(hidden, values, mask=None, scale=scale).loss, wanted)


def test_the_padding_is_out_of_the_loss():
    module, hidden, values = head(), torch.randn(B, T, D), torch.randn(B, N)
    mask = torch.tensor([[True] * T, [True] * 3 + [False] * 2])
    other = torch.where(mask[..., None], hidden, torch.randn(B, T, D))
    losses = [module.loss(x, values, mask=mask, scale=None).loss for x in (hidden, other)]
    assert_close(*losses, rtol=0, atol=0)


def test_a_sequence_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a sequence must have 5 vectors, not 4"):
        head()(torch.randn(B, 4, D))


def test_as_many_places_as_the_embedding_gives():
    series = SeriesPatchesSpec(series_length=12, patch_len=4, stride=4)
    right, wrong = (
        parse(FlattenedRegressionSpec, {"type": "flattened_regression", "n_places": n, "n_outputs": N})
        for n in (4, 3)
    )
    right.check(d_model=D, embeddings={"inputs": series})
    with pytest.raises(ValueError, match=r"n_places \(3\) must be the vectors of inputs: 4"):
        wrong.check(d_model=D, embeddings={"inputs": series})


def test_dropout_acts_in_training_only():
    module, hidden = head(dropout=0.5), torch.randn(B, T, D)
    assert torch.equal(module(hidden), module(hidden))
    module.train()
    assert not torch.equal(module(hidden), module(hidden))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_works_in_every_precision(dtype):
    hidden, values, none = torch.randn(7, T, D), torch.randn(7, N), {"mask": None, "scale": None}
    with torch.autocast("cpu", torch.bfloat16):
        assert head()(hidden).dtype == torch.bfloat16
        assert head().loss(hidden, values, **none).loss.dtype == torch.float32
    assert head().to(dtype).loss(hidden.to(dtype), values, **none).loss.dtype == torch.float32
    assert head().to("meta")(hidden.to("meta")).shape == (7, N)


def test_as_many_numbers_are_given_as_the_spec_says():
    spec = parse(FlattenedRegressionSpec, {"type": "flattened_regression", "n_places": T, "n_outputs": N})
    assert spec.n_parameters(d_model=D, embeddings={}) == sum(p.numel() for p in head().parameters())
