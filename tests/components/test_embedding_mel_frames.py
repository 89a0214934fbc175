import pytest
import torch
from torch.testing import assert_close

from zoo.components.embedding.mel_frames import MelFrames, MelFramesSpec

B, M, D = 2, 5, 6


def frames(n_frames=None):
    torch.manual_seed(0)
    return MelFrames(d_model=D, n_mels=M, n_frames=n_frames)


def run(module, spectrogram, mask=None):
    return module(spectrogram, mask=mask, types=None)


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_it_is_two_convolutions_by_the_formula(n):
    module, x = frames().double(), torch.randn(B, M, n, dtype=torch.float64)

    def convolved(x, conv, stride):
        padded = torch.nn.functional.pad(x, (1, 1))
        columns = [
            torch.einsum("dck,bck->bd", conv.weight, padded[:, :, i : i + 3]) + conv.bias
            for i in range(0, x.shape[2], stride)
        ]
        hidden = torch.stack(columns, dim=2)
        return hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))

    expected = convolved(convolved(x, module.inner, 1), module.outer, 2).transpose(1, 2)
    vectors, mask = run(module, x)
    assert mask is None
    assert_close(vectors, expected)
    assert vectors.shape == (B, (n + 1) // 2, D)


def test_with_its_weights_it_is_whispers_front_end():
    whisper = pytest.importorskip("transformers.models.whisper.modeling_whisper")
    config = whisper.WhisperConfig(
        d_model=D, num_mel_bins=M, encoder_layers=0, encoder_attention_heads=1, max_source_positions=7
    )
    reference = whisper.WhisperEncoder(config).eval()
    reference.layer_norm = torch.nn.Identity()
    torch.nn.init.zeros_(reference.embed_positions.weight)  # a stack's business
    ours = frames()
    ours.inner.load_state_dict(reference.conv1.state_dict())
    ours.outer.load_state_dict(reference.conv2.state_dict())
    spectrogram = torch.randn(B, M, 14)
    assert_close(run(ours, spectrogram)[0], reference(spectrogram).last_hidden_state)


@pytest.mark.parametrize("n_real", [4, 5])
def test_a_padded_recording_gives_what_it_gives_alone(n_real):
    module, x = frames().double(), torch.randn(B, M, 9, dtype=torch.float64)
    mask = torch.ones(B, 9, dtype=torch.bool)
    mask[1, n_real:] = False
    vectors, given = run(module, x, mask)
    alone, _ = run(module, x[1:, :, :n_real])
    assert given.tolist() == [[True] * 5, [i < alone.shape[1] for i in range(5)]]
    assert_close(vectors[1:, : alone.shape[1]], alone)
    assert_close(vectors[:1], run(module, x[:1])[0])


def test_every_weight_gets_its_gradient():
    module, x = frames().double(), torch.randn(B, M, 5, dtype=torch.float64)
    names = [name for name, _ in module.named_parameters()]

    def given(*weights):
        return torch.func.functional_call(
            module, dict(zip(names, weights, strict=True)), (x,), {"mask": None, "types": None}
        )[0]

    assert torch.autograd.gradcheck(given, [p.detach().requires_grad_() for p in module.parameters()])


def test_another_shape_and_types_are_refused():
    with pytest.raises(ValueError, match=r"a spectrogram must be \[B, 5 bands, N frames\], not \[2, 8, 5\]"):
        run(frames(), torch.randn(B, 8, M))
    with pytest.raises(ValueError, match=r"not \[8, 5\]"):
        run(frames(), torch.randn(8, M))
    with pytest.raises(ValueError, match="a spectrogram has none"):
        frames()(torch.randn(B, M, 8), mask=None, types=torch.zeros(B, 8, dtype=torch.int64))


def test_a_fixed_number_of_frames_is_kept_to():
    assert run(frames(8), torch.randn(B, M, 8))[0].shape == (B, 4, D)
    with pytest.raises(ValueError, match=r"must be \[B, 5 bands, 8 frames\], not \[2, 5, 7\]"):
        run(frames(8), torch.randn(B, M, 7))
    inputs, mask = MelFramesSpec(n_mels=M, n_frames=8).example_inputs(3)
    assert inputs.shape == (3, M, 8)
    assert mask.sum(dim=1).tolist() == [8, 8, 5]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_vectors_have_the_weights_dtype(dtype):
    inputs, mask = MelFramesSpec(n_mels=M).example_inputs(3)
    assert mask.shape == (3, inputs.shape[2])
    with torch.inference_mode():
        vectors, _ = run(frames().to(dtype), inputs.to(dtype), mask)
    assert vectors.dtype == dtype
    assert vectors.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        run(frames(), inputs, mask)


def test_on_meta_only_shapes_are_made():
    with torch.device("meta"):
        assert run(frames(), torch.empty(B, M, 8))[0].shape == (B, 4, D)
