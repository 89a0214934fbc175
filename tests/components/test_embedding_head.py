import math

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.embedding.tokens import TokenEmbedding, TokensSpec
from zoo.components.head.language_model import LanguageModelHead, LanguageModelSpec

D, V = 6, 13


def test_vectors_are_scaled_by_the_root_of_d_model():
    embedding = TokenEmbedding(d_model=D, vocab_size=V, scale="sqrt_d_model")
    ids = torch.tensor([[4, 7, 4]])
    assert_close(embedding(ids), embedding.weight[ids] * math.sqrt(6))
    plain = TokenEmbedding(d_model=D, vocab_size=V, scale="none")
    assert_close(plain(ids), plain.weight[ids])


def test_a_tied_head_is_the_embeddings_own_matrix():
    embedding = TokenEmbedding(d_model=D, vocab_size=V, scale="none")
    head = LanguageModelHead(
        d_model=D, embeddings={"target": embedding}, predicts="target", tied=True, bias=False
    )
    assert head.weight is embedding.weight
    hidden = torch.randn(2, 5, D)
    assert_close(head(hidden), hidden @ embedding.weight.T)


def test_an_untied_head_has_weights_and_bias_of_its_own():
    embedding = TokenEmbedding(d_model=D, vocab_size=V, scale="none")
    head = LanguageModelHead(
        d_model=D, embeddings={"target": embedding}, predicts="target", tied=False, bias=True
    )
    assert head.weight.data_ptr() != embedding.weight.data_ptr()
    torch.nn.init.normal_(head.bias)
    hidden = torch.randn(2, 5, D)
    assert_close(head(hidden), hidden @ head.weight.T + head.bias)


def test_loss_is_the_cross_entropy_of_the_logits():
    embedding = TokenEmbedding(d_model=D, vocab_size=V, scale="none")
    head = LanguageModelHead(
        d_model=D, embeddings={"target": embedding}, predicts="target", tied=True, bias=True
    )
    hidden, labels = torch.randn(7, D), torch.randint(V, (7,))
    loss, nll = head.loss(hidden, labels, label_smoothing=0.1)
    cross_entropy = torch.nn.functional.cross_entropy
    assert_close(
        loss, cross_entropy(head(hidden), labels, label_smoothing=0.1, reduction="sum"), rtol=1e-5, atol=1e-5
    )
    assert_close(nll, cross_entropy(head(hidden), labels, reduction="sum"), rtol=1e-5, atol=1e-5)


def test_a_head_for_an_embedding_that_is_not_there_is_refused():
    spec = parse(LanguageModelSpec, {"type": "language_model", "predicts": "tokens"})
    with pytest.raises(ValueError, match=r"no embedding 'tokens' to predict \(it has: source\)"):
        spec.check(d_model=D, embeddings={"source": TokensSpec(vocab_size=V)})
