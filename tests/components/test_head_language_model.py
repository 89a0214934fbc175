import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import parse
from zoo.components.embedding.image_patches import ImagePatchesSpec
from zoo.components.embedding.tokens import TokenEmbedding, TokensSpec
from zoo.components.head.language_model import LanguageModelHead, LanguageModelSpec

B, T, D, E, V = 2, 5, 6, 4, 13


def embedding(**changes):
    torch.manual_seed(0)
    spec = parse(TokensSpec, {"vocab_size": V, "scale": "none", **changes})
    return TokenEmbedding(d_model=D, **spec.model_dump(exclude={"type"}))


def head(table, **changes):
    spec = parse(LanguageModelSpec, {"predicts": "target", **changes})
    module = LanguageModelHead(d_model=D, embeddings={"target": table}, **spec.model_dump(exclude={"type"}))
    if module.bias is not None:
        torch.nn.init.normal_(module.bias)
    return module


@pytest.fixture
def hidden():
    torch.manual_seed(1)
    return torch.randn(B, T, D)


def test_a_tied_head_is_the_embeddings_own_matrix(hidden):
    table = embedding()
    module = head(table)
    assert module.weight is table.weight
    assert_close(module(hidden), hidden @ table.weight.T)
    assert_close(module(hidden, mask=torch.rand(B, T) > 0.5), module(hidden))


def test_an_untied_head_has_weights_and_bias_of_its_own(hidden):
    table = embedding()
    module = head(table, tied=False, bias=True)
    assert module.weight.data_ptr() != table.weight.data_ptr()
    assert_close(module(hidden), hidden @ module.weight.T + module.bias)


def test_a_fixed_bias_is_saved_but_not_trained(hidden):
    module = head(embedding(), bias="fixed")
    assert_close(module(hidden), hidden @ module.weight.T + module.bias)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert set(module.state_dict()) == {"weight", "bias"}
    module.loss(hidden.flatten(0, 1), torch.randint(V, (B * T,)), label_smoothing=0.1).loss.backward()
    assert module.bias.grad is None


def test_the_scale_is_the_inverse_root_of_d_model(hidden):
    table = embedding()
    assert_close(head(table, scale="rsqrt_d_model")(hidden), hidden @ table.weight.T / 6**0.5)


def test_a_factorised_embedding_gives_a_projection_to_its_width(hidden):
    table = embedding(d_embedding=E)
    module = head(table, scale="rsqrt_d_model", bias=True)
    assert module.projection.weight.shape == (E, D)
    assert module.projection.bias is None
    expected = (hidden / 6**0.5) @ module.projection.weight.T @ table.weight.T + module.bias
    assert_close(module(hidden), expected)
    assert head(table, tied=False).weight.shape == (V, E)
    assert head(embedding(d_embedding=D)).projection is None


def test_a_soft_cap_bounds_the_logits(hidden):
    table = embedding()
    logits = hidden @ table.weight.T * 10
    capped = head(table, soft_cap=3.0)(hidden * 10)
    assert capped.abs().max() <= 3 < logits.abs().max()
    assert_close(capped, 3 * torch.tanh(logits / 3))


OPTIONS = [
    {"bias": True},
    {"bias": "fixed", "scale": "rsqrt_d_model"},
    {"soft_cap": 2.0, "bias": True},
    {"d_embedding": E, "scale": "rsqrt_d_model"},
    {"d_embedding": E, "soft_cap": 1.5, "tied": False},
]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
def test_the_loss_is_the_cross_entropy_of_the_logits_in_its_gradients_too(options, smoothing):
    options = dict(options)
    table = embedding(d_embedding=options.pop("d_embedding", None))
    module = head(table, **options)
    hidden, labels = torch.randn(7, D, requires_grad=True), torch.randint(V, (7,))
    weights = [hidden, *module.parameters()]
    sums = module.loss(hidden, labels, label_smoothing=smoothing)
    loss, nll, count = sums.loss, sums.nll, sums.count
    logits = module(hidden)
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
    assert loss.dtype == nll.dtype == torch.float32
    assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert_close(nll, F.cross_entropy(logits, labels, reduction="sum"), rtol=1e-5, atol=1e-5)
    assert not nll.requires_grad
    assert count == 7
    gradients = [torch.autograd.grad(value, weights, retain_graph=True) for value in (loss, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_with_its_weights_it_is_opts_projection_and_head(hidden):
    opt = pytest.importorskip("transformers.models.opt.modeling_opt")
    config = opt.OPTConfig(
        vocab_size=V,
        hidden_size=D,
        word_embed_proj_dim=E,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=3,
        max_position_embeddings=9,
    )
    model = opt.OPTForCausalLM(config).eval()
    table = embedding(d_embedding=E)
    table.load_state_dict(
        {
            "weight": model.model.decoder.embed_tokens.weight,
            "projection.weight": model.model.decoder.project_in.weight,
        }
    )
    module = head(table)
    with torch.no_grad():
        module.projection.weight.copy_(model.model.decoder.project_out.weight)
    assert_close(module(hidden), model.lm_head(model.model.decoder.project_out(hidden)))


def test_a_head_for_an_embedding_that_is_not_there_or_of_no_tokens_is_refused():
    spec = parse(LanguageModelSpec, {"predicts": "tokens"})
    with pytest.raises(ValueError, match=r"no embedding 'tokens' to predict; known: source"):
        spec.check(d_model=D, embeddings={"source": TokensSpec(vocab_size=V)})
    with pytest.raises(ValueError, match="'tokens' embeds no tokens"):
        spec.check(d_model=D, embeddings={"tokens": ImagePatchesSpec()})
    spec.check(d_model=D, embeddings={"tokens": TokensSpec(vocab_size=V)})


@pytest.mark.parametrize("bias", [True, False, "fixed"])
def test_a_bias_is_yes_no_or_fixed(bias):
    assert parse(LanguageModelSpec, {"predicts": "target", "bias": bias}).bias is bias
    with pytest.raises(ValueError, match="bias"):
        parse(LanguageModelSpec, {"predicts": "target", "bias": "learned"})


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
def test_it_works_in_every_precision(hidden, options, dtype):
    options = dict(options)
    module = head(embedding(d_embedding=options.pop("d_embedding", None)), **options)
    labels = torch.randint(V, (B * T,))
    with torch.autocast("cpu", torch.bfloat16):
        assert module(hidden).dtype == torch.bfloat16
        assert module.loss(hidden.flatten(0, 1), labels, label_smoothing=0.1).loss.isfinite()
    module, hidden = module.to(dtype), hidden.to(dtype)
    with torch.inference_mode():
        assert module(hidden).dtype == dtype
        loss = module.loss(hidden.flatten(0, 1), labels, label_smoothing=0.1).loss
    assert loss.dtype == torch.float32


def test_on_meta_only_shapes_are_made():
    with torch.device("meta"):
        module = head(embedding(d_embedding=E), bias="fixed", soft_cap=2.0, tied=False)
        assert module(torch.empty(B, T, D)).shape == (B, T, V)
        assert all(tensor.is_meta for tensor in module.state_dict().values())


def test_a_number_scales_the_logits():
    table, hidden = embedding(), torch.randn(2, 5, D)
    assert_close(head(table, scale=0.25)(hidden), 0.25 * head(table)(hidden))
