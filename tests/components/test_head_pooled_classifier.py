import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import parse
from zoo.components.head._pooling import Pooling, pooled
from zoo.components.head.pooled_classifier import PooledClassifier, PooledClassifierSpec

B, T, D, C = 4, 5, 6, 3


def head(**changes):
    torch.manual_seed(0)
    spec = parse(PooledClassifierSpec, {"n_classes": C, **changes})
    spec.check(d_model=D, embeddings={})
    fields = {name: getattr(spec, name) for name in type(spec).model_fields if name != "type"}
    module = PooledClassifier(d_model=D, embeddings={}, **fields)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module.eval()


@pytest.fixture
def hidden():
    torch.manual_seed(1)
    return torch.randn(B, T, D)


@pytest.fixture
def mask():
    """Padding right, left, in between and none."""
    return torch.tensor(
        [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]], dtype=torch.bool
    )


def test_pooling_takes_real_tokens_only(hidden, mask):
    for pool, expected in (
        ("first", [hidden[0, 0], hidden[1, 2], hidden[2, 1], hidden[3, 0]]),
        ("last", [hidden[0, 2], hidden[1, 4], hidden[2, 3], hidden[3, 4]]),
        ("mean", [row[real].mean(dim=0) for row, real in zip(hidden, mask, strict=True)]),
        ("mean_but_first", [row[real][1:].mean(dim=0) for row, real in zip(hidden, mask, strict=True)]),
        ("max", [row[real].amax(dim=0) for row, real in zip(hidden, mask, strict=True)]),
    ):
        assert_close(pooled(hidden, mask, pool), torch.stack(expected))
        everything = torch.ones_like(mask)
        assert_close(pooled(hidden, None, pool), pooled(hidden, everything, pool))
        spoilt = torch.where(mask[..., None], hidden, torch.nan)
        assert torch.equal(pooled(spoilt, mask, pool), pooled(hidden, mask, pool))


def test_attention_pools_by_learned_weights_over_real_tokens(hidden, mask):
    pooling = Pooling(d_model=D, pool="attention")
    w = pooling.scores.weight[0]
    expected = []
    for row, real in zip(hidden, mask, strict=True):
        weights = (row[real] @ w).exp()
        expected.append((weights[:, None] * row[real]).sum(0) / weights.sum())
    assert_close(pooling(hidden, mask), torch.stack(expected))
    spoilt = torch.where(mask[..., None], hidden, torch.nan)
    assert_close(pooling(spoilt, mask), torch.stack(expected))
    assert_close(pooling(hidden, None), pooling(hidden, torch.ones_like(mask)))


@pytest.mark.parametrize("pool", ["first", "mean", "mean_but_first", "max", "last", "attention"])
def test_a_row_without_a_real_token_stays_finite(hidden, mask, pool):
    mask[2] = False
    assert head(pool=pool)(hidden, mask=mask).isfinite().all()
    assert head(pool=pool)(hidden[:, :1]).isfinite().all()


def test_it_is_pool_dense_activation_norm_and_projection(hidden, mask):
    module = head(pool="mean", activation="tanh", norm={"type": "layer_norm", "eps": 1e-3})
    z = torch.tanh(pooled(hidden, mask, "mean") @ module.dense.weight.T + module.dense.bias)
    z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, correction=0, keepdim=True) + 1e-3).sqrt()
    z = z * module.norm.weight + module.norm.bias
    assert_close(module(hidden, mask=mask), z @ module.output.weight.T + module.output.bias)


def test_each_part_can_be_left_out(hidden):
    module = head(bias=False)
    assert [name for name, _ in module.named_parameters()] == ["output.weight"]
    assert_close(module(hidden), hidden[:, 0] @ module.output.weight.T)
    assert head(activation="relu", dense_bias=False).dense.bias is None
    only_norm = head(norm="rms_norm", bias=False)
    z = hidden[:, 0] / (hidden[:, 0].square().mean(-1, keepdim=True) + 1e-6).sqrt() * only_norm.norm.weight
    assert_close(only_norm(hidden), z @ only_norm.output.weight.T)


def test_both_dropouts_act_in_training_only():
    for name in ("dropout", "pooled_dropout"):
        module = head(**{name: 0.5}, activation="identity", dense_bias=False, bias=False)
        with torch.no_grad():
            module.dense.weight.copy_(torch.eye(D))
            module.output.weight.copy_(torch.eye(D)[:C])
        hidden = torch.ones(500, 1, D)
        assert_close(module(hidden), torch.ones(500, C))
        dropped = module.train()(hidden)
        assert set(dropped.unique().tolist()) == {0.0, 2.0}
        assert abs(dropped.mean() - 1) < 0.15


def test_the_loss_of_classes_is_their_cross_entropy(hidden, mask):
    module, labels = head(pool="mean", activation="tanh"), torch.tensor([2, 0, 1, 2])
    sums = module.loss(hidden, labels, mask=mask, label_smoothing=0.2)
    loss, nll, count = sums.loss, sums.nll, sums.count
    logits = module(hidden, mask=mask)
    assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=0.2, reduction="sum"))
    assert_close(nll, F.cross_entropy(logits, labels, reduction="sum").detach())
    assert loss.requires_grad
    assert not nll.requires_grad
    assert count == B


def test_with_one_class_the_loss_is_the_squared_error(hidden, mask):
    module, values = head(n_classes=1, pool="last"), torch.tensor([0.5, -1.0, 3.0, 2.0])
    sums = module.loss(hidden, values, mask=mask, label_smoothing=0.0)
    loss, nll, count = sums.loss, sums.nll, sums.count
    wanted = sum((module(hidden, mask=mask)[i, 0] - values[i]) ** 2 for i in range(B))
    assert_close(loss, wanted)
    assert_close(nll, wanted.detach())
    assert count == B
    with pytest.raises(ValueError, match=r"label_smoothing \(0.1\) must be 0 for a regression"):
        module.loss(hidden, values, mask=mask, label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"values must have the shape \[4\], not \[4, 1\]"):
        module.loss(hidden, values[:, None], mask=mask, label_smoothing=0.0)


SIZES = {"hidden_size": D, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 3}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def modeling(family):
    return pytest.importorskip(f"transformers.models.{family}.modeling_{family}")


def load(module, output, dense=None, norm=None):
    """A reference's parts in place of ours."""
    for ours, theirs in ((module.output, output), (module.dense, dense), (module.norm, norm)):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            for parameter in theirs.parameters():
                torch.nn.init.normal_(parameter)
            ours.load_state_dict(theirs.state_dict())


class Given(torch.nn.Module):
    """Stands for a reference's stack and gives the hidden vectors it was made with."""

    def __init__(self, hidden, pooler=None):
        super().__init__()
        self.hidden = hidden
        self.pooler = pooler

    def forward(self, *inputs, **named):
        from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions as Output

        vector = None if self.pooler is None else self.pooler(self.hidden)
        return Output(last_hidden_state=self.hidden, pooler_output=vector)


INPUT = torch.zeros(B, T, dtype=torch.int64)


def test_with_its_weights_it_is_berts(hidden):
    bert = modeling("bert")
    theirs = bert.BertForSequenceClassification(bert.BertConfig(**SIZES, vocab_size=9, num_labels=C)).eval()
    theirs.bert = Given(hidden, theirs.bert.pooler)
    ours = head(activation="tanh", dropout=0.1)
    load(ours, theirs.classifier, theirs.bert.pooler.dense)
    assert_close(ours(hidden), theirs(INPUT).logits)


def test_with_its_weights_it_is_robertas(hidden):
    roberta = modeling("roberta")
    theirs = roberta.RobertaClassificationHead(roberta.RobertaConfig(**SIZES, num_labels=C)).eval()
    ours = head(activation="tanh", dropout=0.1, pooled_dropout=0.1)
    load(ours, theirs.out_proj, theirs.dense)
    assert_close(ours(hidden), theirs(hidden))


def test_with_its_weights_it_is_distilberts(hidden):
    distilbert = modeling("distilbert")
    config = distilbert.DistilBertConfig(
        vocab_size=9, dim=D, n_heads=2, n_layers=1, hidden_dim=3, num_labels=C
    )
    theirs = distilbert.DistilBertForSequenceClassification(config).eval()
    theirs.distilbert = Given(hidden)
    ours = head(activation="relu", dropout=0.2)
    load(ours, theirs.classifier, theirs.pre_classifier)
    assert_close(ours(hidden), theirs(INPUT).logits)


def test_with_its_weights_it_is_vits(hidden):
    vit = modeling("vit")
    theirs = vit.ViTForImageClassification(
        vit.ViTConfig(**SIZES, num_labels=C, image_size=4, patch_size=2)
    ).eval()
    theirs.vit = Given(hidden)
    ours = head()
    load(ours, theirs.classifier)
    assert_close(ours(hidden), theirs(torch.zeros(B, 3, 4, 4)).logits)


def test_with_its_weights_it_is_deberta_v2s(hidden):
    deberta = modeling("deberta_v2")
    config = deberta.DebertaV2Config(**SIZES, vocab_size=9, num_labels=C, pooler_hidden_size=D)
    theirs = deberta.DebertaV2ForSequenceClassification(config).eval()
    theirs.deberta = Given(hidden)
    ours = head(activation="gelu", dropout=0.1, pooled_dropout=0.1)
    load(ours, theirs.classifier, theirs.pooler.dense)
    assert_close(ours(hidden), theirs(INPUT).logits)


@pytest.mark.parametrize(("pool", "bias"), [("first", True), ("mean", False)])
def test_with_its_weights_it_is_modernberts(hidden, mask, pool, bias):
    modernbert = modeling("modernbert")
    config = modernbert.ModernBertConfig(
        **SIZES,
        **IDS,
        vocab_size=9,
        num_labels=C,
        cls_token_id=1,
        sep_token_id=2,
        norm_eps=1e-3,
        norm_bias=bias,
        classifier_bias=bias,
        classifier_pooling="cls" if pool == "first" else "mean",
    )
    theirs = modernbert.ModernBertForSequenceClassification(config).eval()
    theirs.model = Given(hidden)
    norm = {"type": "layer_norm", "eps": 1e-3, "bias": bias}
    ours = head(pool=pool, activation="gelu", dense_bias=bias, norm=norm)
    load(ours, theirs.classifier, theirs.head.dense, theirs.head.norm)
    mask = mask if pool == "mean" else None
    assert_close(ours(hidden, mask=mask), theirs(INPUT, attention_mask=mask).logits)


@pytest.mark.parametrize(("family", "name"), [("gpt2", "GPT2"), ("llama", "Llama")])
def test_with_its_weights_it_is_the_decoders(hidden, mask, family, name):
    reference = modeling(family)
    config = getattr(reference, f"{name}Config")(**SIZES, **IDS, vocab_size=9, num_labels=C)
    theirs = getattr(reference, f"{name}ForSequenceClassification")(config).eval()
    setattr(theirs, theirs.base_model_prefix, Given(hidden))
    ours = head(pool="last", bias=False)
    load(ours, theirs.score)
    ids = torch.where(mask, 5, 0)  # it finds the padding by its id
    assert_close(ours(hidden, mask=mask), theirs(ids).logits)


def test_with_its_weights_it_is_barts(hidden):
    bart = modeling("bart")
    theirs = bart.BartClassificationHead(D, D, C, 0.1).eval()
    ours = head(pool="last", activation="tanh", dropout=0.1, pooled_dropout=0.1)
    load(ours, theirs.out_proj, theirs.dense)
    assert_close(ours(hidden), theirs(hidden[:, -1]))


@pytest.mark.parametrize("changes", [{"dense_bias": False}, {"pooled_dropout": 0.1}])
def test_options_of_a_dense_layer_that_is_not_there_are_refused(changes):
    with pytest.raises(ValueError, match="belong to a dense layer: give its activation"):
        head(**changes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("pool", ["first", "mean", "last"])
def test_it_works_in_every_precision(hidden, mask, pool, dtype):
    module = head(pool=pool, activation="tanh", norm="layer_norm")
    with torch.autocast("cpu", torch.bfloat16):
        assert module(hidden, mask=mask).dtype == torch.bfloat16
    with torch.inference_mode():
        assert module.to(dtype)(hidden.to(dtype), mask=mask).dtype == dtype


def test_every_weight_gets_a_gradient_and_padding_none(hidden, mask):
    hidden.requires_grad_()
    for pool in ("first", "mean", "last"):
        module = head(pool=pool, activation="tanh", norm="layer_norm")
        out = module(hidden, mask=mask)
        hidden.grad = None
        (out * torch.randn(B, C)).sum().backward()
        assert all(parameter.grad.any() for parameter in module.parameters())
        assert not hidden.grad[~mask].any()


def test_on_meta_only_shapes_are_made():
    with torch.device("meta"):
        assert head(pool="last")(torch.empty(B, T, D), mask=torch.ones(B, T, dtype=torch.bool)).shape == (
            B,
            C,
        )
