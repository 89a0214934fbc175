import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import parse
from zoo.components.head.none import NoHead
from zoo.components.head.token_classifier import TokenClassifier, TokenClassifierSpec
from zoo.components.norm.layer_norm import LayerNormSpec

B, T, D, C = 2, 5, 6, 3


def head(*, bias=True, dropout=0.0, activation=None, dense_bias=True, norm=None):
    torch.manual_seed(0)
    return TokenClassifier(
        d_model=D,
        embeddings={},
        n_classes=C,
        activation=activation,
        dense_bias=dense_bias,
        norm=norm,
        bias=bias,
        dropout=dropout,
    ).eval()


def test_each_token_is_projected_to_the_classes():
    module, hidden = head(), torch.randn(B, T, D)
    expected = hidden @ module.output.weight.T + module.output.bias
    assert_close(module(hidden), expected)
    assert_close(module(hidden, mask=torch.rand(B, T) > 0.5), expected)
    assert head(bias=False).output.bias is None


def test_with_its_weights_it_is_berts():
    bert = pytest.importorskip("transformers.models.bert.modeling_bert")
    config = bert.BertConfig(
        vocab_size=9,
        hidden_size=D,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=3,
        num_labels=C,
    )
    theirs = bert.BertForTokenClassification(config).eval()
    ids = torch.randint(9, (B, T))
    module = head(dropout=0.1)
    module.output.load_state_dict(theirs.classifier.state_dict())
    assert_close(module(theirs.bert(ids).last_hidden_state), theirs(ids).logits)


def test_with_its_weights_it_is_modernberts():
    modernbert = pytest.importorskip("transformers.models.modernbert.modeling_modernbert")
    config = modernbert.ModernBertConfig(
        vocab_size=9,
        hidden_size=D,
        num_attention_heads=1,
        num_hidden_layers=1,
        intermediate_size=3,
        pad_token_id=0,
        classifier_activation="relu",
        norm_eps=1e-3,
        num_labels=C,
    )
    theirs = modernbert.ModernBertForTokenClassification(config).eval()
    with torch.no_grad():
        theirs.head.norm.weight.normal_()
    norm = parse(LayerNormSpec, {"type": "layer_norm", "eps": 1e-3, "bias": False})
    module = head(activation="relu", dense_bias=False, norm=norm)
    module.dense.load_state_dict(theirs.head.dense.state_dict())
    module.norm.load_state_dict(theirs.head.norm.state_dict())
    module.output.load_state_dict(theirs.classifier.state_dict())
    ids = torch.randint(9, (B, T))
    assert_close(module(theirs.model(ids).last_hidden_state), theirs(ids).logits)


def test_a_dense_layers_bias_needs_a_dense_layer():
    spec = parse(TokenClassifierSpec, {"type": "token_classifier", "n_classes": C, "dense_bias": False})
    with pytest.raises(ValueError, match="give its activation"):
        spec.check(d_model=D, embeddings={})


def test_dropout_acts_in_training_only():
    module, hidden = head(dropout=0.5), torch.randn(B, T, D)
    assert torch.equal(module(hidden), module(hidden))
    module.train()
    assert not torch.equal(module(hidden), module(hidden))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_works_in_every_precision(dtype):
    hidden = torch.randn(B, T, D)
    with torch.autocast("cpu", torch.bfloat16):
        assert head()(hidden).dtype == torch.bfloat16
    with torch.inference_mode():
        assert head().to(dtype)(hidden.to(dtype)).dtype == dtype
    assert head().to("meta")(hidden.to("meta")).shape == (B, T, C)


def test_the_loss_is_the_cross_entropy_of_the_chosen_places():
    module, hidden, labels = head(activation="gelu"), torch.randn(7, D), torch.randint(C, (7,))
    sums = module.loss(hidden, labels, label_smoothing=0.2)
    loss, nll, count = sums.loss, sums.nll, sums.count
    logits = module(hidden)
    assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=0.2, reduction="sum"))
    assert_close(nll, F.cross_entropy(logits, labels, reduction="sum").detach())
    assert loss.requires_grad
    assert not nll.requires_grad
    assert count == 7
    half = module.to(torch.bfloat16).loss(hidden.bfloat16(), labels, label_smoothing=0.2)
    assert half.loss.dtype == half.nll.dtype == torch.float32


def test_no_head_hands_the_hidden_vectors_on():
    hidden = torch.randn(B, T, D)
    module = NoHead(d_model=D, embeddings={})
    assert module(hidden, mask=torch.ones(B, T, dtype=torch.bool)) is hidden
    assert list(module.parameters()) == []
