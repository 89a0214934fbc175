"""Attention weights of a model read from transformers are those that transformers gives, by its eager attention."""

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from zoo.analysis.attention import attention_weights
from zoo.interop.hugging_face import from_hf

B, S, T, V = 2, 7, 5, 31
MASK = torch.arange(S) < torch.tensor([[S], [4]])


def reference(kind, config):
    torch.manual_seed(0)
    config._attn_implementation = "eager"
    model = kind(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_()
    return model


def same(found, theirs, mask=None):
    """Rows of padding aside, which are nobody's."""
    assert all(each.is_confirmed for each in found)
    assert len(found) == len(theirs)
    for ours, other in zip(found, theirs, strict=True):
        real = torch.ones_like(other) if mask is None else mask[:, None, :, None].expand_as(other)
        assert_close(ours.weights * real, other * real, rtol=1e-4, atol=1e-5)
        assert float(other.max() - other.min()) > 0.5  # weights that differ


@torch.no_grad()
def test_bert():
    config = BertConfig(
        vocab_size=V, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=29,
        max_position_embeddings=16,
    )  # fmt: skip
    theirs = reference(BertForMaskedLM, config)
    _, model = from_hf(theirs)
    tokens = torch.randint(V, (B, S))
    found = attention_weights(model.eval(), tokens, mask=MASK).found
    given = theirs(tokens, attention_mask=MASK.long(), output_attentions=True)
    same(found, given.attentions, MASK)
    assert (found[0].weights[1, :, :, 4:] == 0).all()


@torch.no_grad()
def test_gpt2():
    theirs = reference(
        GPT2LMHeadModel, GPT2Config(vocab_size=V, n_embd=12, n_layer=2, n_head=3, n_positions=16)
    )
    _, model = from_hf(theirs)
    tokens = torch.randint(V, (B, S))
    found = attention_weights(model.eval(), tokens).found
    same(found, theirs(tokens, output_attentions=True).attentions)
    assert all(torch.equal(each.weights, each.weights.tril()) for each in found)


def parts(found):
    return (
        [each for each in found if each.stack == "encoder"],
        [each for each in found if each.stack == "decoder" and not each.is_cross],
        [each for each in found if each.is_cross],
    )


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (
            T5ForConditionalGeneration,
            T5Config(
                vocab_size=V, d_model=12, d_kv=5, d_ff=29, num_layers=2, num_decoder_layers=1, num_heads=3,
                relative_attention_num_buckets=8, relative_attention_max_distance=11,
            ),
        ),
        (
            BartForConditionalGeneration,
            BartConfig(
                vocab_size=V, d_model=12, encoder_layers=1, decoder_layers=2, encoder_attention_heads=3,
                decoder_attention_heads=2, encoder_ffn_dim=29, decoder_ffn_dim=23, max_position_embeddings=16,
                pad_token_id=1, decoder_start_token_id=2, eos_token_id=2, forced_eos_token_id=None,
            ),
        ),
    ],
)  # fmt: skip
@torch.no_grad()
def test_an_encoder_decoder(kind, config):
    theirs = reference(kind, config)
    _, model = from_hf(theirs)
    source, target = torch.randint(3, V, (B, S)), torch.randint(3, V, (B, T))
    found = attention_weights(model.eval(), source, target, source_mask=MASK).found
    given = theirs(
        input_ids=source, attention_mask=MASK.long(), decoder_input_ids=target, output_attentions=True
    )
    encoder, decoder, cross = parts(found)
    same(encoder, given.encoder_attentions, MASK)
    same(decoder, given.decoder_attentions)
    same(cross, given.cross_attentions)
    assert (cross[0].weights[1, :, :, 4:] == 0).all()
