import pytest
import torch
from torch import nn

import zoo
from registry import parse
from zoo.assembly.build import build
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.components.heads import split
from zoo.components.initialization.mesh_tensorflow import MeshTensorflowInitialization

D, K, F, H = 96, 20, 160, 5


def model(**changed):
    attention = {"type": "multi_head", "n_heads": H, "d_k": K, "scale": 1.0, "bias": True}
    layer = {"layout": "pre_norm", "self_attention": attention, "ffn": {"type": "glu", "d_ff": F}}
    spec = {
        "d_model": D,
        "source": {"type": "tokens", "vocab_size": 500},
        "target": {"share": "source"},
        "position": {"type": "relative_buckets", "n_buckets": 64},
        "encoder": {"n_layers": 2, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": {**attention, "scale": None}},
        "head": {"type": "language_model", "predicts": "target"},
        "initialization": "mesh_tensorflow",
    }
    torch.manual_seed(0)
    return build(parse(EncoderDecoderSpec, {**spec, **changed}))


def test_deviations_are_those_of_transformers_t5():
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    config = t5.T5Config(
        vocab_size=500, d_model=D, d_kv=K, d_ff=F, num_heads=H, num_layers=2, feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=64,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs, ours = t5.T5ForConditionalGeneration(config), model()
    block, layer = theirs.encoder.block[1].layer, ours.encoder.layers[1]
    for mine, reference in (
        (ours.source, theirs.shared),
        (layer.self_attention.query, block[0].SelfAttention.q),
        (layer.self_attention.key, block[0].SelfAttention.k),
        (layer.self_attention.value, block[0].SelfAttention.v),
        (layer.self_attention.output, block[0].SelfAttention.o),
        (layer.ffn.gate, block[1].DenseReluDense.wi_0),
        (layer.ffn.inner, block[1].DenseReluDense.wi_1),
        (layer.ffn.outer, block[1].DenseReluDense.wo),
    ):
        assert mine.weight.std().item() == pytest.approx(reference.weight.std().item(), rel=0.05)
    table = theirs.decoder.block[0].layer[0].SelfAttention.relative_attention_bias
    assert ours.decoder.position.table.weight.std().item() == pytest.approx(
        table.weight.std().item(), rel=0.2
    )


def test_scaled_and_unscaled_scores_begin_with_one_deviation():
    found = model()
    x = torch.randn(3, 50, D)
    for attention in (found.decoder.layers[0].self_attention, found.decoder.layers[0].cross_attention):
        q, k = (split(each(x), H) for each in (attention.query, attention.key))
        scores = q @ k.transpose(-2, -1) * attention.scale
        assert scores.std().item() == pytest.approx(1, abs=0.1)


def test_biases_are_zero_and_an_untied_head_is_a_matrix_like_others():
    found = model(head={"type": "language_model", "predicts": "target", "tied": False})
    assert not any(p.any() for name, p in found.named_parameters() if name.endswith("output.bias"))
    assert found.head.weight.std().item() == pytest.approx(D**-0.5, rel=0.05)
    assert found.source.weight.std().item() == pytest.approx(1.0, rel=0.05)
    tied = model(initialization={"type": "mesh_tensorflow", "embedding_std": 0.3})
    assert tied.head.weight.std().item() == pytest.approx(0.3, rel=0.05)


def test_a_model_without_attention_is_drawn_too():
    layers = nn.ModuleList([nn.Linear(300, 7), nn.Conv1d(30, 40, 5)])
    torch.manual_seed(0)
    MeshTensorflowInitialization(embedding_std=1.0)(layers)
    assert layers[0].weight.std().item() == pytest.approx(300**-0.5, rel=0.05)
    assert layers[1].weight.std().item() == pytest.approx(150**-0.5, rel=0.05)
    assert not layers[0].bias.any()


def test_the_t5_presets_begin_with_it():
    assert zoo.load("t5_small").model.initialization.type == "mesh_tensorflow"
