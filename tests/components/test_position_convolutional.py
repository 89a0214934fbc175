import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.convolutional import Convolutional, ConvolutionalSpec
from zoo.masks import Mask

B, T, D = 2, 9, 12


def module(kernel_size=4, n_groups=3):
    torch.manual_seed(1)
    ours = Convolutional(d_model=D, n_heads=1, kernel_size=kernel_size, n_groups=n_groups).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return ours


def padded():
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[1, 6:] = False
    return torch.randn(B, T, D, dtype=torch.float64), keys


@pytest.mark.parametrize("kernel_size", [4, 7, 128])
@pytest.mark.parametrize("n_groups", [1, 3])
def test_it_is_that_of_wav2vec_with_padding(kernel_size, n_groups):
    wav2vec2 = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2Config(
        hidden_size=D, num_conv_pos_embeddings=kernel_size, num_conv_pos_embedding_groups=n_groups,
        num_hidden_layers=1, num_attention_heads=3, intermediate_size=5,
    )  # fmt: skip
    theirs = wav2vec2.Wav2Vec2PositionalConvEmbedding(config).double()
    ours = module(kernel_size, n_groups)
    names = {
        "parametrizations.weight.original0": "gain",
        "parametrizations.weight.original1": "direction",
        "bias": "shift",
    }
    theirs.conv.load_state_dict({name: getattr(ours, own) for name, own in names.items()})
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    x, keys = padded()
    silent = x.masked_fill(~keys[..., None], 0)
    expected = silent + theirs(silent)
    assert_close(ours.embed(x, mask=Mask(keys=keys)), expected)
    assert_close(ours.embed(silent, mask=Mask()), expected)


def test_it_is_the_sum_over_each_group_and_frame():
    ours, x = module(kernel_size=4, n_groups=3), padded()[0]
    out = torch.zeros_like(x)
    for frame in range(T):
        for feature in range(D):
            group = feature // 4
            for place in range(4):
                of_place = ours.direction[:, :, place]
                kernel = (
                    ours.gain[0, 0, place] * ours.direction[feature, :, place] / of_place.pow(2).sum().sqrt()
                )
                if 0 <= frame + place - 2 < T:
                    out[:, frame, feature] += x[:, frame + place - 2, 4 * group : 4 * group + 4] @ kernel
    assert_close(ours.embed(x, mask=Mask()), x + torch.nn.functional.gelu(out + ours.shift))


def test_padded_frames_have_no_influence():
    ours = module(kernel_size=7)
    x, keys = padded()
    outs = ours.embed(x, mask=Mask(keys=keys))
    changed = torch.where(keys[..., None], x, x + 1)
    assert_close(ours.embed(changed, mask=Mask(keys=keys)), outs)
    assert_close(outs[1:, :6], ours.embed(x[1:, :6], mask=Mask()))


def test_a_new_kernel_has_the_length_of_its_direction():
    ours = Convolutional(d_model=D, n_heads=1, kernel_size=5, n_groups=2)
    assert_close(ours.gain, ours.direction.norm(dim=(0, 1), keepdim=True))
    assert not ours.shift.any()


def test_a_causal_stack_is_refused():
    context = {"d_model": D, "n_heads": 3, "d_k": 4}
    with pytest.raises(ValueError, match=r"look at later frames, .* use them in an encoder"):
        ConvolutionalSpec(n_groups=3).check(role="causal", **context)
    with pytest.raises(ValueError, match=r"n_groups \(5\) must divide d_model \(12\)"):
        ConvolutionalSpec(n_groups=5).check(role="self", **context)
    ConvolutionalSpec(n_groups=3).check(role="self", **context)
    with pytest.raises(ValueError, match="look at later frames"):
        module().embed(padded()[0], mask=Mask(causal=True))
    with pytest.raises(ValueError, match="look at later frames"):
        module().embed(padded()[0], mask=Mask(offset=2))
