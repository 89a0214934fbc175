import numpy as np
import pytest
import torch
from torch.testing import assert_close

from zoo.components.embedding.waveform_frames import (
    WaveformFrames,
    WaveformFramesSpec,
    n_frames,
    random_spans,
    receptive_field,
)

B, D = 3, 6
CHANNELS, KERNELS, STRIDES = (4, 7, 5), (5, 3, 2), (3, 2, 1)
N = 61


def spec(**changes):
    return WaveformFramesSpec(**{"channels": CHANNELS, "kernels": KERNELS, "strides": STRIDES, **changes})


def frames(**changes):
    torch.manual_seed(0)
    given = spec(**changes)
    given.check(d_model=D)
    module = WaveformFrames(d_model=D, **given.model_dump(exclude={"type"}))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return module.eval()


def run(module, waveform, mask=None):
    return module(waveform, mask=mask, types=None)


def padded(lengths):
    torch.manual_seed(1)
    mask = torch.arange(N) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), N) * mask, mask


def reference(wav2vec, *, norm, bias, **changes):
    config = wav2vec.Wav2Vec2Config(
        hidden_size=D,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=3,
        conv_dim=CHANNELS,
        conv_kernel=KERNELS,
        conv_stride=STRIDES,
        conv_bias=bias,
        feat_extract_norm=norm,
        layer_norm_eps=1e-3,
        num_conv_pos_embeddings=2,
        num_conv_pos_embedding_groups=2,
        **changes,
    )
    torch.manual_seed(2)
    model = wav2vec.Wav2Vec2Model(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def copied(model):
    """The reference's weights by our names."""
    ours = {}
    for i, layer in enumerate(model.feature_extractor.conv_layers):
        ours |= {f"convs.{i}.{name}": weight for name, weight in layer.conv.state_dict().items()}
        if hasattr(layer, "layer_norm"):
            ours |= {f"norms.{i}.{name}": weight for name, weight in layer.layer_norm.state_dict().items()}
    projection = model.feature_projection
    ours |= {f"feature_norm.{name}": weight for name, weight in projection.layer_norm.state_dict().items()}
    ours |= {f"projection.{name}": weight for name, weight in projection.projection.state_dict().items()}
    if hasattr(model, "masked_spec_embed"):
        ours["masked_frame"] = model.masked_spec_embed
    return ours


class Caught(torch.nn.Module):
    """Stands for the reference's Transformer and keeps what reaches it."""

    def forward(self, hidden, attention_mask=None, **named):
        self.hidden, self.mask = hidden, attention_mask
        raise StopIteration


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("bias", [False, True])
def test_with_its_weights_it_is_wav2vec2s_front_end(norm, bias):
    wav2vec = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    model = reference(wav2vec, norm=norm, bias=bias, mask_time_prob=0.3)
    ours = frames(norm=norm, conv_bias=bias, eps=1e-3, mask_probability=0.3)
    ours.load_state_dict(copied(model))
    n_theirs = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("encoder."))
    assert sum(p.numel() for p in ours.parameters()) == n_theirs
    waveform, mask = padded([61, 40, 23])
    expected, _ = model.feature_projection(model.feature_extractor(waveform).transpose(1, 2))
    assert_close(run(ours, waveform)[0], expected)

    model.encoder = caught = Caught()
    with pytest.raises(StopIteration):
        model(waveform, attention_mask=mask)
    vectors, real = run(ours, waveform, mask)
    assert torch.equal(real, caught.mask)
    assert_close(
        vectors, caught.hidden.masked_fill(~caught.mask[:, :, None], 0.0)
    )  # its encoder does this first
    assert 0 < real[2].sum() < real[1].sum() < real[0].sum() == real.shape[1]


@pytest.mark.parametrize(("time", "feature"), [(0.0, 0.0), (0.05, 0.0)])
def test_the_masking_vector_is_there_where_the_reference_has_it(time, feature):
    wav2vec = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    model = reference(wav2vec, norm="group", bias=False, mask_time_prob=time, mask_feature_prob=feature)
    ours = frames(mask_probability=time, feature_mask_probability=feature)
    assert hasattr(model, "masked_spec_embed") == (ours.masked_frame is not None) == (time > 0)


def test_with_layer_norms_a_padded_recording_gives_what_it_gives_alone():
    module = frames(norm="layer").double()
    waveform, mask = padded([61, 40, 20])
    waveform = torch.where(mask, waveform, 7.0).double()  # what the mask hides counts as zero
    vectors, real = run(module, waveform, mask)
    for row, n in enumerate((61, 40, 20)):
        alone, _ = run(module, waveform[row : row + 1, :n])
        assert real[row].sum() == alone.shape[1]
        assert_close(vectors[row, real[row]], alone[0])
        assert not vectors[row, ~real[row]].any()


def test_the_padding_s_samples_have_no_influence_with_a_group_norm_either():
    module = frames(norm="group")
    waveform, mask = padded([61, 40, 23])
    other = torch.where(mask, waveform, torch.randn_like(waveform))
    assert torch.equal(run(module, waveform, mask)[0], run(module, other, mask)[0])


def test_a_recording_too_short_for_a_frame_has_none():
    waveform, mask = padded([61, 13, 0])
    vectors, real = run(frames(), waveform, mask)
    assert real.sum(dim=1).tolist() == [real.shape[1], 0, 0]
    assert vectors.isfinite().all()
    assert not vectors[1:].any()


def test_frames_are_counted_as_the_convolutions_count():
    assert receptive_field(KERNELS, STRIDES) == 17
    assert (
        receptive_field(*(WaveformFramesSpec.model_fields[name].default for name in ("kernels", "strides")))
        == 400
    )
    for n in range(17, 60):
        shape = run(frames(), torch.zeros(1, n))[0].shape
        assert int(n_frames(torch.tensor(n), KERNELS, STRIDES)) == shape[1]
    assert int(n_frames(torch.tensor(16), KERNELS, STRIDES)) == 0


def test_training_replaces_spans_of_frames_by_the_learned_vector():
    module = frames(norm="layer", mask_probability=0.4, mask_length=2, min_masks=1).train()
    waveform, mask = padded([61, 61, 40])
    vectors, real = run(module, waveform, mask)
    plain, _ = run(module.eval(), waveform, mask)
    replaced = (vectors == module.masked_frame).all(dim=-1)
    assert replaced.any(dim=1).all()
    assert not (replaced & ~real).any()
    assert_close(vectors[~replaced], plain[~replaced])
    vectors.sum().backward()
    assert_close(module.masked_frame.grad, torch.full((D,), float(replaced.sum())))


def test_training_zeroes_spans_of_features_in_all_frames_of_a_recording():
    changes = {"feature_mask_probability": 0.5, "feature_mask_length": 2, "min_feature_masks": 1}
    module = frames(norm="layer", **changes).train()
    waveform = torch.randn(B, N)
    vectors, _ = run(module, waveform)
    zero = (vectors == 0).all(dim=1)  # [B, D]
    assert zero.any(dim=1).all()
    assert not zero.all(dim=1).any()
    plain, _ = run(module.eval(), waveform)
    assert plain.all()
    assert_close(vectors, plain.masked_fill(zero[:, None], 0.0))


def test_spans_are_within_their_row_and_as_many_as_asked():
    torch.manual_seed(0)
    lengths = torch.tensor([50, 21, 6, 3, 0])
    counts = torch.zeros(5)
    for _ in range(300):
        spans = random_spans(lengths, 50, 0.4, 4, 1)
        counts += spans.sum(dim=1)
        for row, length in zip(spans, lengths, strict=True):
            assert not row[length:].any()
            edges = torch.nn.functional.pad(row.int(), (1, 1)).diff()
            runs = (edges == -1).nonzero() - (edges == 1).nonzero()
            assert (runs >= 4).all()
    assert (counts[3:] == 0).all()  # no room for a span of 4
    assert counts[2] == 4 * 300  # 0.4 · 6 / 4 = 0.6 is below the one that there is at least
    assert 0.7 * 0.4 * 50 < counts[0] / 300 < 0.4 * 50  # some overlap
    assert 0.7 * 0.4 * 21 < counts[1] / 300 < 0.4 * 21


@pytest.mark.parametrize(
    ("probability", "span", "least"), [(0.3, 5, 0), (0.1, 4, 2), (0.9, 3, 0), (0.02, 2, 0)]
)
def test_spans_cover_as_much_as_the_references(probability, span, least):
    wav2vec = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    lengths = torch.tensor([40, 23, 9])
    real = torch.arange(40) < lengths[:, None]
    torch.manual_seed(0)
    np.random.seed(0)
    n = 600
    ours = sum(random_spans(lengths, 40, probability, span, least).double() for _ in range(n)) / n
    theirs = sum(
        torch.tensor(wav2vec._compute_mask_indices((3, 40), probability, span, real.long(), least)).double()
        for _ in range(n)
    )
    theirs = (theirs * real) / n  # it marks a last place that is padding where a row has no span
    assert_close(ours.sum(dim=1), theirs.sum(dim=1), rtol=0.1, atol=0.25)


def test_equal_seeds_give_equal_masks_and_others_others():
    module = frames(mask_probability=0.3, mask_length=2).train()
    waveform = torch.randn(B, N)
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(run(module, waveform)[0])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_dropout_acts_in_training_only():
    module, waveform = frames(dropout=0.5), torch.randn(B, N)
    assert torch.equal(run(module, waveform)[0], run(module, waveform)[0])
    assert (run(module.train(), waveform)[0] == 0).float().mean().sub(0.5).abs() < 0.15


def test_every_weight_gets_a_gradient():
    module = frames(norm="layer", conv_bias=True, mask_probability=0.2, mask_length=2).train().double()
    waveform, mask = padded([61, 50, 40])
    vectors, _ = run(module, waveform.double(), mask)
    (vectors * torch.randn_like(vectors)).sum().backward()
    assert all(parameter.grad.any() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((B, 1, N), r"a waveform must be \[B, N samples\], not \[3, 1, 61\]"),
        ((B, 16), "16 samples are too few for one frame, which takes 17"),
    ],
)
def test_waveforms_of_another_shape_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        run(frames(), torch.randn(shape))


def test_padding_before_a_sample_and_types_are_refused():
    waveform, mask = padded([61, 40, 23])
    with pytest.raises(
        ValueError, match="padding before a real sample: a waveform must be padded at its end"
    ):
        run(frames(), waveform, mask.flip(1))
    with pytest.raises(ValueError, match="a waveform has none"):
        frames()(waveform, mask=None, types=mask.long())


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="not channels 3, kernels 2, strides 3"):
        spec(kernels=(3, 2)).check(d_model=D)


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_vectors_have_the_weights_dtype(norm, dtype):
    changes = {"norm": norm, "mask_probability": 0.3, "mask_length": 2, "feature_mask_probability": 0.2}
    inputs, mask = spec().example_inputs(4)
    assert inputs.shape == mask.shape
    module = frames(**changes).train()
    with torch.autocast("cpu", torch.bfloat16):
        run(module, inputs, mask)
    with torch.inference_mode():
        vectors, real = run(module.to(dtype), inputs.to(dtype), mask)
    assert vectors.dtype == dtype
    assert vectors.isfinite().all()
    assert real[:3].all()
    assert 0 < real[3].sum() < real.shape[1]


@pytest.mark.parametrize("training", [False, True])
def test_on_meta_only_shapes_are_made(training):
    given = spec(norm="layer", mask_probability=0.3, mask_length=2, feature_mask_probability=0.3)
    with torch.device("meta"):
        module = WaveformFrames(d_model=D, **given.model_dump(exclude={"type"})).train(training)
        vectors, real = run(module, torch.empty(B, N), torch.ones(B, N, dtype=torch.bool))
        assert vectors.shape == (B, 8, D)
        assert real.shape == (B, 8)
