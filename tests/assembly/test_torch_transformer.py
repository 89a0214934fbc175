"""The paper's encoder-decoder against torch.nn.Transformer holding the same weights."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from registry import parse
from zoo.assembly.build import build
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.masks import Mask

D, H, D_FF, V = 24, 4, 40, 31  # an even H: torch warns about odd ones


def post_norm_spec(final_norm, **top):
    attention = {"type": "multi_head", "n_heads": H, "bias": True}
    stack = {
        "n_layers": 2,
        "final_norm": {"type": "layer_norm", "eps": 1e-5} if final_norm else None,
        "layer": {
            "norm": {"type": "layer_norm", "eps": 1e-5},
            "self_attention": attention,
            "ffn": {"type": "mlp", "d_ff": D_FF, "activation": "relu"},
        },
    }
    return parse(
        EncoderDecoderSpec,
        {
            "d_model": D,
            "source": {"type": "tokens", "vocab_size": V},
            "target": {"share": "source"},
            "encoder": stack,
            "decoder": {"like": "encoder", "cross_attention": attention},
            "head": {"type": "language_model", "predicts": "target"},
            **top,
        },
    )


def copy_attention(theirs, ours):
    for linear, weight, bias in zip(
        (ours.query, ours.key, ours.value),
        theirs.in_proj_weight.chunk(3),
        theirs.in_proj_bias.chunk(3),
        strict=True,
    ):
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    ours.output.load_state_dict(theirs.out_proj.state_dict())


@torch.no_grad()
def copy_layer(theirs, ours):
    copy_attention(theirs.self_attn, ours.self_attention)
    norms = [theirs.norm1, theirs.norm2]
    if ours.cross_attention is not None:
        copy_attention(theirs.multihead_attn, ours.cross_attention)
        norms.append(theirs.norm3)
    ours.ffn.inner.load_state_dict(theirs.linear1.state_dict())
    ours.ffn.outer.load_state_dict(theirs.linear2.state_dict())
    for norm, own in zip(norms, ours.layout.norms, strict=True):
        own.load_state_dict(norm.state_dict())


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def sinusoids(length):
    table = torch.zeros(length, D)
    for pos in range(length):
        for i in range(0, D, 2):
            table[pos, i] = math.sin(pos / 10000 ** (i / D))
            table[pos, i + 1] = math.cos(pos / 10000 ** (i / D))
    return table


def test_post_norm_encoder_decoder_equals_torch():
    torch.manual_seed(0)
    theirs = randomised(
        nn.Transformer(D, H, 2, 2, D_FF, dropout=0.0, activation="relu", batch_first=True, norm_first=False)
    )  # in training mode with dropout 0, so that torch takes its plain path
    ours = build(post_norm_spec(final_norm=True)).eval()  # torch adds a last norm even after post-norm layers
    for stack, own in ((theirs.encoder, ours.encoder), (theirs.decoder, ours.decoder)):
        for layer, own_layer in zip(stack.layers, own.layers, strict=True):
            copy_layer(layer, own_layer)
        own.final_norm.load_state_dict(stack.norm.state_dict())
    nn.init.normal_(ours.source.weight)

    source, target = torch.randint(4, V, (2, 7)), torch.randint(4, V, (2, 5))
    source_mask = torch.ones(2, 7, dtype=torch.bool)
    source_mask[1, 4:] = False
    embed = ours.source.weight * math.sqrt(D)
    memory_in, target_in = (
        F.embedding(source, embed) + sinusoids(7),
        F.embedding(target, embed) + sinusoids(5),
    )
    hidden = theirs(
        memory_in,
        target_in,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(5),
        tgt_is_causal=True,
        src_key_padding_mask=~source_mask,
        memory_key_padding_mask=~source_mask,
    )
    expected = hidden @ ours.source.weight.T
    logits = ours(source, target, source_mask=source_mask)
    assert expected.abs().mean() > 0.5
    assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_loss_gradients_equal_torchs():
    torch.manual_seed(1)
    theirs = randomised(
        nn.TransformerEncoderLayer(D, H, D_FF, dropout=0.0, activation="relu", batch_first=True)
    )
    ours = build(post_norm_spec(final_norm=True)).encoder.layers[0]
    copy_layer(theirs, ours)
    x = torch.randn(2, 5, D)
    upstream = torch.randn(2, 5, D)
    theirs(x).backward(upstream)
    ours.eval()(x, mask=Mask()).backward(upstream)
    assert_close(ours.ffn.inner.weight.grad, theirs.linear1.weight.grad, rtol=1e-4, atol=1e-5)
    assert_close(
        torch.cat([ours.self_attention.query.weight.grad, ours.self_attention.key.weight.grad]),
        theirs.self_attn.in_proj_weight.grad[: 2 * D],
        rtol=1e-4,
        atol=1e-5,
    )
