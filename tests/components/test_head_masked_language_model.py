import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import parse
from zoo.components.embedding.tokens import TokenEmbedding, TokensSpec
from zoo.components.head.masked_language_model import MaskedLanguageModelHead, MaskedLanguageModelSpec

B, T, D, E, V = 2, 5, 6, 4, 13


def head(d_embedding=None, **changes):
    torch.manual_seed(0)
    embedding = parse(TokensSpec, {"vocab_size": V, "d_embedding": d_embedding})
    spec = parse(MaskedLanguageModelSpec, changes)
    spec.check(d_model=D, embeddings={"inputs": embedding})
    table = TokenEmbedding(d_model=D, **embedding.model_dump(exclude={"type"}))
    fields = {name: getattr(spec, name) for name in type(spec).model_fields if name != "type"}
    module = MaskedLanguageModelHead(d_model=D, embeddings={"inputs": table}, **fields)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module, table


@pytest.fixture
def hidden():
    torch.manual_seed(1)
    return torch.randn(B, T, D)


def test_it_is_dense_activation_norm_and_the_embeddings_matrix(hidden):
    module, table = head(norm={"type": "layer_norm", "eps": 1e-3})
    assert module.weight is table.weight
    z = hidden @ module.dense.weight.T + module.dense.bias
    z = z * 0.5 * (1 + torch.erf(z / 2**0.5))
    z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, correction=0, keepdim=True) + 1e-3).sqrt()
    z = z * module.norm.weight + module.norm.bias
    assert_close(module(hidden), z @ table.weight.T + module.bias)


def test_each_part_can_be_left_out_or_exchanged(hidden):
    module, table = head(tied=False, bias=False, dense_bias=False, activation="relu", norm="rms_norm")
    assert module.weight is not table.weight
    z = (hidden @ module.dense.weight.T).clamp(min=0)
    z = z / (z.square().mean(-1, keepdim=True) + 1e-6).sqrt() * module.norm.weight
    assert_close(module(hidden), z @ module.weight.T)


def test_the_loss_is_the_cross_entropy_of_the_logits_in_its_gradients_too():
    module, _ = head(d_embedding=E)
    hidden, labels = torch.randn(7, D, requires_grad=True), torch.randint(V, (7,))
    sums = module.loss(hidden, labels, label_smoothing=0.1)
    loss, nll, count = sums.loss, sums.nll, sums.count
    logits = module(hidden)
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum")
    assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert_close(nll, F.cross_entropy(logits, labels, reduction="sum"), rtol=1e-5, atol=1e-5)
    assert count == 7
    weights = [hidden, *module.parameters()]
    gradients = [torch.autograd.grad(value, weights, retain_graph=True) for value in (loss, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def load(module, dense, norm, decoder):
    """A reference's parts in place of ours; the decoder's bias may be apart."""
    for parameter in [*dense.parameters(), *norm.parameters(), *decoder.parameters()]:
        torch.nn.init.normal_(parameter)
    module.dense.load_state_dict(dense.state_dict())
    module.norm.load_state_dict(norm.state_dict())
    with torch.no_grad():
        module.weight.copy_(decoder.weight)
        if module.bias is not None:
            module.bias.copy_(decoder.bias)


SIZES = {
    "vocab_size": V,
    "hidden_size": D,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 3,
}


def modeling(family):
    return pytest.importorskip(f"transformers.models.{family}.modeling_{family}")


def test_with_its_weights_it_is_berts(hidden):
    bert = modeling("bert")
    theirs = bert.BertLMPredictionHead(bert.BertConfig(**SIZES, layer_norm_eps=1e-3))
    ours, _ = head(norm={"type": "layer_norm", "eps": 1e-3})
    load(ours, theirs.transform.dense, theirs.transform.LayerNorm, theirs.decoder)
    assert_close(ours(hidden), theirs(hidden))


def test_with_its_weights_it_is_robertas_and_longformers(hidden):
    for family, name in (("roberta", "Roberta"), ("longformer", "Longformer")):
        reference = modeling(family)
        config = getattr(reference, f"{name}Config")(**SIZES, layer_norm_eps=1e-3)
        theirs = getattr(reference, f"{name}LMHead")(config)
        ours, _ = head(norm={"type": "layer_norm", "eps": 1e-3})
        load(ours, theirs.dense, theirs.layer_norm, theirs.decoder)
        assert_close(ours(hidden), theirs(hidden))


def test_with_its_weights_it_is_alberts(hidden):
    albert = modeling("albert")
    config = albert.AlbertConfig(**SIZES, embedding_size=E, layer_norm_eps=1e-3, hidden_act="gelu_new")
    theirs = albert.AlbertMLMHead(config)
    ours, _ = head(d_embedding=E, activation="gelu_tanh", norm={"type": "layer_norm", "eps": 1e-3})
    load(ours, theirs.dense, theirs.LayerNorm, theirs.decoder)
    assert_close(ours(hidden), theirs(hidden))


@pytest.mark.parametrize("width", [None, E])
def test_with_its_weights_it_is_deberta_v2s_old_one(hidden, width):
    deberta = modeling("deberta_v2")
    config = deberta.DebertaV2Config(
        **SIZES, layer_norm_eps=1e-3, **({"embedding_size": width} if width else {})
    )
    theirs = deberta.LegacyDebertaV2LMPredictionHead(config)
    ours, _ = head(d_embedding=width, norm={"type": "layer_norm", "eps": 1e-3})
    load(ours, theirs.transform.dense, theirs.transform.LayerNorm, theirs.decoder)
    assert_close(ours(hidden), theirs(hidden))


def test_with_its_weights_it_is_deberta_v2s_new_one(hidden):
    deberta = modeling("deberta_v2")
    theirs = deberta.DebertaV2LMPredictionHead(deberta.DebertaV2Config(**SIZES, layer_norm_eps=1e-3))
    decoder = torch.nn.Linear(D, V)
    ours, _ = head(norm={"type": "layer_norm", "eps": 1e-3})
    load(ours, theirs.dense, theirs.LayerNorm, decoder)
    theirs.bias = decoder.bias
    assert_close(ours(hidden), theirs(hidden, decoder))


class Given(torch.nn.Module):
    """Stands for a reference's stack and gives the hidden vectors it was made with."""

    def __init__(self, hidden):
        super().__init__()
        self.hidden = hidden

    def forward(self, *inputs, **named):
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.hidden)


def test_with_its_weights_it_is_distilberts(hidden):
    distilbert = modeling("distilbert")
    config = distilbert.DistilBertConfig(
        vocab_size=V, dim=D, n_heads=2, n_layers=1, hidden_dim=3, activation="relu"
    )
    theirs = distilbert.DistilBertForMaskedLM(config).eval()
    theirs.distilbert = Given(hidden)
    ours, _ = head(activation="relu", norm={"type": "layer_norm", "eps": 1e-12})
    load(ours, theirs.vocab_transform, theirs.vocab_layer_norm, theirs.vocab_projector)
    assert_close(ours(hidden), theirs(torch.zeros(B, T, dtype=torch.int64)).logits)


@pytest.mark.parametrize("bias", [False, True])
def test_with_its_weights_it_is_modernberts(hidden, bias):
    modernbert = modeling("modernbert")
    config = modernbert.ModernBertConfig(
        **SIZES,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
        norm_eps=1e-3,
        classifier_bias=bias,
        decoder_bias=not bias,
        norm_bias=bias,
    )
    theirs = modernbert.ModernBertForMaskedLM(config).eval()
    theirs.model = Given(hidden)
    norm = {"type": "layer_norm", "eps": 1e-3, "bias": bias}
    ours, _ = head(dense_bias=bias, bias=not bias, norm=norm)
    load(ours, theirs.head.dense, theirs.head.norm, theirs.decoder)
    assert_close(ours(hidden), theirs(torch.zeros(B, T, dtype=torch.int64)).logits)


def test_a_norm_that_does_not_fit_and_a_missing_embedding_are_refused():
    spec = parse(MaskedLanguageModelSpec, {"predicts": "source"})
    with pytest.raises(ValueError, match=r"no embedding 'source' to predict; known: inputs"):
        spec.check(d_model=D, embeddings={"inputs": TokensSpec(vocab_size=V)})


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_works_in_every_precision(hidden, dtype):
    module, _ = head(d_embedding=E)
    labels = torch.randint(V, (B * T,))
    with torch.autocast("cpu", torch.bfloat16):
        assert module(hidden).dtype == torch.bfloat16
        assert module.loss(hidden.flatten(0, 1), labels, label_smoothing=0.1).loss.isfinite()
    module, hidden = module.to(dtype), hidden.to(dtype)
    with torch.inference_mode():
        assert module(hidden).dtype == dtype
        assert module.loss(hidden.flatten(0, 1), labels, label_smoothing=0.1).loss.dtype == torch.float32


def test_on_meta_only_shapes_are_made():
    with torch.device("meta"):
        module, _ = head(d_embedding=E, tied=False)
        assert module(torch.empty(B, T, D)).shape == (B, T, V)
        assert all(tensor.is_meta for tensor in module.state_dict().values())
