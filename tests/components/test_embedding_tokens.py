import math

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.embedding.tokens import TokenEmbedding, TokensSpec

D, V, B, N = 6, 13, 2, 5


def embedding(**changes):
    torch.manual_seed(0)
    spec = parse(TokensSpec, {"vocab_size": V, **changes})
    spec.check(d_model=D)
    return TokenEmbedding(d_model=D, **spec.model_dump(exclude={"type"}))


def vectors(module, ids, types=None):
    return module(ids, mask=None, types=types)[0]


@pytest.fixture
def ids():
    return torch.tensor([[4, 7, 4, 0, 12], [9, 1, 12, 3, 2]])


def test_vectors_are_scaled_by_the_root_of_d_model(ids):
    module = embedding()
    assert_close(vectors(module, ids), module.weight[ids] * math.sqrt(6))
    assert_close(vectors(embedding(scale=2.5), ids), module.weight[ids] * 2.5)
    plain = embedding(scale="none")
    assert_close(vectors(plain, ids), plain.weight[ids])


def test_the_mask_is_handed_on(ids):
    mask = torch.rand(B, N) > 0.3
    x, given = embedding()(ids, mask=mask, types=None)
    assert given is mask
    assert_close(x, vectors(embedding(), ids))
    assert embedding()(ids, mask=None, types=None)[1] is None


def test_each_token_gets_the_vector_of_its_type_unscaled(ids):
    module = embedding(n_types=3)
    types = torch.tensor([[0, 0, 1, 1, 2], [2, 0, 1, 0, 0]])
    expected = module.weight[ids] * math.sqrt(6) + module.types.weight[types]
    assert_close(vectors(module, ids, types), expected)


def test_no_types_means_type_zero_everywhere_in_the_gradient_too(ids):
    module = embedding(n_types=3)
    weights = torch.randn(B, N, D)
    grads = []
    for types in (None, torch.zeros(B, N, dtype=torch.int64)):
        module.zero_grad()
        x = vectors(module, ids, types)
        (x * weights).sum().backward()
        grads.append((x.detach(), module.types.weight.grad.clone()))
    assert torch.equal(grads[0][0], grads[1][0])
    assert_close(grads[0][1], grads[1][1])
    assert not grads[0][1][1:].any()


def test_a_factorised_embedding_is_projected_after_scale_and_types(ids):
    module = embedding(d_embedding=4, n_types=2, projection_bias=True)
    types = torch.randint(2, (B, N))
    torch.nn.init.normal_(module.projection.bias)
    inner = module.weight[ids] * math.sqrt(6) + module.types.weight[types]
    expected = inner @ module.projection.weight.T + module.projection.bias
    assert_close(vectors(module, ids, types), expected)
    assert module.weight.shape == (V, 4)
    assert embedding(d_embedding=4).projection.bias is None
    assert embedding(d_embedding=6).projection is not None
    assert embedding().projection is None


def test_frozen_vectors_get_no_gradient_but_the_other_weights_do(ids):
    module = embedding(d_embedding=4, n_types=2, trained=False)
    vectors(module, ids).sum().backward()
    assert not module.weight.requires_grad
    assert module.weight.grad is None
    assert module.types.weight.grad is not None
    assert module.projection.weight.grad is not None


def test_looking_up_the_padding_id_does_not_train_its_vector(ids):
    module, plain = embedding(padding_id=12), embedding()
    with torch.no_grad():
        module.weight.copy_(plain.weight)
    assert_close(vectors(module, ids), vectors(plain, ids))
    weights = torch.randn(B, N, D)
    for each in (module, plain):
        (vectors(each, ids) * weights).sum().backward()
    assert plain.weight.grad[12].all()
    assert not module.weight.grad[12].any()
    plain.weight.grad[12] = 0
    assert_close(module.weight.grad, plain.weight.grad)


@pytest.mark.parametrize(
    "d_model", [6, 18, 3072]
)  # 3072: Gemma 7B's, whose root is 55.43 and in bfloat16 55.5
def test_in_bfloat16_it_is_gemmas_embedding_bit_for_bit(d_model):
    gemma = pytest.importorskip("transformers.models.gemma.modeling_gemma")
    torch.manual_seed(0)
    reference = gemma.GemmaTextScaledWordEmbedding(V, d_model, padding_idx=0, embed_scale=d_model**0.5)
    ours = TokenEmbedding(
        d_model=d_model,
        vocab_size=V,
        scale="sqrt_d_model",
        n_types=0,
        d_embedding=None,
        projection_bias=False,
        trained=True,
        padding_id=0,
    )
    ours.load_state_dict(reference.state_dict())
    every_id = torch.arange(V)[None]
    assert torch.equal(vectors(ours, every_id), reference(every_id))
    ours, reference = ours.bfloat16(), reference.bfloat16()
    assert torch.equal(vectors(ours, every_id), reference(every_id))


def test_types_and_tokens_are_those_of_the_reference():
    albert = pytest.importorskip("transformers.models.albert.modeling_albert")
    config = albert.AlbertConfig(
        vocab_size=V, hidden_size=D, embedding_size=4, type_vocab_size=3, num_attention_heads=2
    )
    reference = albert.AlbertEmbeddings(config).eval()
    into = torch.nn.Linear(4, D)
    ours = embedding(scale="none", n_types=3, d_embedding=4, projection_bias=True)
    ours.load_state_dict(
        {
            "weight": reference.word_embeddings.weight,
            "types.weight": reference.token_type_embeddings.weight,
            "projection.weight": into.weight,
            "projection.bias": into.bias,
        }
    )
    reference.LayerNorm = torch.nn.Identity()  # a stack's business, as are positions
    torch.nn.init.zeros_(reference.position_embeddings.weight)
    ids, types = torch.randint(V, (B, N)), torch.randint(3, (B, N))
    assert_close(vectors(ours, ids, types), into(reference(ids, token_type_ids=types)))


def test_bad_ids_and_types_are_refused(ids):
    with pytest.raises(ValueError, match="token types are given, but this embedding has none: set n_types"):
        vectors(embedding(), ids, torch.zeros_like(ids))
    with pytest.raises(ValueError, match="token id 13 is out of range: vocab_size is 13, so 0 to 12"):
        vectors(embedding(), ids + 1)
    with pytest.raises(ValueError, match="token id -1 is out of range"):
        vectors(embedding(), ids - 1)
    with pytest.raises(ValueError, match="token type 2 is out of range: n_types is 2, so 0 to 1"):
        vectors(embedding(n_types=2), ids, torch.full_like(ids, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"projection_bias": True}, "projection_bias is given, but no d_embedding"),
        ({"padding_id": 13}, r"padding_id \(13\) must be below vocab_size \(13\)"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TokensSpec(vocab_size=V, **changes).check(d_model=D)


def test_an_empty_batch_and_one_without_ids_pass():
    assert vectors(embedding(), torch.zeros(0, N, dtype=torch.int64)).shape == (0, N, D)
    assert vectors(embedding(n_types=2), torch.zeros(B, 0, dtype=torch.int64)).shape == (B, 0, D)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_vectors_have_the_weights_dtype(ids, dtype):
    module = embedding(d_embedding=4, n_types=2).to(dtype)
    with torch.inference_mode():
        assert vectors(module, ids).dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert vectors(embedding(), ids).dtype == torch.float32


def test_on_meta_only_shapes_are_made():
    with torch.device("meta"):
        module = embedding(d_embedding=4, n_types=2)
        assert vectors(module, torch.zeros(B, N, dtype=torch.int64)).shape == (B, N, D)


def test_the_example_is_within_the_vocabulary_and_padded_at_the_end():
    ids, mask = TokensSpec(vocab_size=V).example_inputs(3)
    assert ids.shape == mask.shape
    assert ids.shape[0] == 3
    vectors(embedding(), ids)
    assert mask[:2].all()
    assert mask[2].sum() < mask.shape[1]
