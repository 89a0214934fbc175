import pytest
import torch
from torch.testing import assert_close

from zoo.components.head.pooled import Pooled, PooledSpec

B, T, D, P = 3, 5, 6, 4


def head(**changes):
    torch.manual_seed(0)
    spec = PooledSpec(**changes)
    fields = {name: getattr(spec, name) for name in type(spec).model_fields if name != "type"}
    return Pooled(d_model=D, embeddings={}, **fields).double()


@pytest.fixture
def hidden():
    torch.manual_seed(1)
    return torch.randn(B, T, D, dtype=torch.float64)


MASK = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize(
    ("pool", "of"),
    [
        ("first", lambda row, real: row[real][0]),
        ("last", lambda row, real: row[real][-1]),
        ("mean", lambda row, real: row[real].mean(0)),
        ("mean_but_first", lambda row, real: row[real][1:].mean(0)),
    ],
)
def test_it_is_a_dense_layer_over_one_vector_of_the_real_tokens(hidden, pool, of):
    module = head(pool=pool, d_pooled=P)
    x = torch.stack([of(row, real) for row, real in zip(hidden, MASK, strict=True)])
    expected = torch.tanh(x @ module.dense.weight.T + module.dense.bias)
    assert_close(module(hidden, mask=MASK), expected)
    assert module(hidden).shape == (B, P)


def test_by_default_it_is_as_wide_as_the_model_and_the_activation_can_be_another(hidden):
    module = head(activation="relu")
    assert_close(module(hidden), (hidden[:, 0] @ module.dense.weight.T + module.dense.bias).clamp(min=0))
    assert module(hidden).shape == (B, D)


def test_with_its_weights_it_is_berts_pooler(hidden):
    bert = pytest.importorskip("transformers.models.bert.modeling_bert")
    reference = bert.BertPooler(bert.BertConfig(hidden_size=D)).double()
    ours = head()
    ours.load_state_dict(reference.state_dict())
    assert_close(ours(hidden), reference(hidden))


def test_without_an_activation_the_vector_is_the_output(hidden):
    assert torch.equal(head(activation=None)(hidden), hidden[:, 0])


@pytest.mark.parametrize("activation", [None, "identity"])
def test_a_norm_comes_last(hidden, activation):
    module = head(pool="mean_but_first", activation=activation, norm={"type": "layer_norm", "eps": 1e-3})
    torch.nn.init.normal_(module.norm.weight)
    z = hidden[:, 1:].mean(1)
    z = z if activation is None else module.dense(z)
    z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, correction=0, keepdim=True) + 1e-3).sqrt()
    assert_close(module(hidden), z * module.norm.weight + module.norm.bias)


def test_a_dense_layer_may_add_no_bias(hidden):
    module = head(activation="identity", bias=False, d_pooled=5)
    assert_close(module(hidden), hidden[:, 0] @ module.dense.weight.T)
    assert len(list(module.parameters())) == 1


@pytest.mark.parametrize("changes", [{"d_pooled": 5}, {"bias": False}])
def test_what_belongs_to_a_dense_layer_needs_one(changes):
    with pytest.raises(ValueError, match="belong to a dense layer"):
        PooledSpec(activation=None, **changes).check(d_model=D, embeddings={})
