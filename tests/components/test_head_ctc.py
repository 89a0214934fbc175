from itertools import product

import pytest
import torch
from torch.testing import assert_close

from zoo.components.head.ctc import CTC, CTCSpec

B, T, D, V = 3, 5, 6, 4


def head(*, blank=0, bias=True, dropout=0.0):
    torch.manual_seed(0)
    module = CTC(d_model=D, embeddings={}, vocab_size=V, blank=blank, bias=bias, dropout=dropout)
    return module.double().eval()


@pytest.fixture
def hidden():
    torch.manual_seed(1)
    return torch.randn(B, T, D, dtype=torch.float64)


def surprise(logits, labels, blank):
    """-log of the sum over all paths of T steps that read as these labels, one by one."""
    log_p = logits.log_softmax(dim=-1)
    total = torch.tensor(-torch.inf, dtype=torch.float64)
    for path in product(range(V), repeat=len(logits)):
        merged = [step for i, step in enumerate(path) if i == 0 or step != path[i - 1]]
        if [step for step in merged if step != blank] == labels:
            total = torch.logaddexp(total, sum(log_p[t, step] for t, step in enumerate(path)))
    return -total


def test_logits_are_a_projection(hidden):
    module = head()
    assert_close(module(hidden), hidden @ module.output.weight.T + module.output.bias)
    assert head(bias=False).output.bias is None


@pytest.mark.parametrize("blank", [0, 3])
def test_the_loss_sums_over_every_alignment_of_the_real_places(hidden, blank):
    module = head(blank=blank)
    rows = [[1, 2, 2], [2], [1, 2]]
    labels = torch.tensor([[1, 2, 2], [2, -100, -100], [1, 2, 99]])  # what stands at padding does not matter
    label_mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=torch.bool)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], dtype=torch.bool)
    logits = module(hidden)
    expected = sum(surprise(logits[i][mask[i]], row, blank) for i, row in enumerate(rows))
    sums = module.loss(hidden, labels, mask=mask, label_mask=label_mask)
    loss, nll, count = sums.loss, sums.nll, sums.count
    assert_close(loss, expected)
    assert torch.equal(nll, loss)
    assert not nll.requires_grad
    assert count == 6
    spoilt = hidden.masked_fill(~mask[..., None], 7.0)
    assert_close(module.loss(spoilt, labels, mask=mask, label_mask=label_mask).loss, expected)
    whole = sum(surprise(logits[i], [2, 1], blank) for i in range(B))
    assert_close(module.loss(hidden, torch.tensor([[2, 1]] * B), mask=None, label_mask=None).loss, whole)


class Loss(torch.nn.Module):
    """The loss as a module, so that its weights can be exchanged."""

    def __init__(self, **given):
        super().__init__()
        self.head = head()
        self.given = given

    def forward(self, hidden):
        return self.head.loss(hidden, **self.given).loss


def test_the_gradient_is_that_of_the_loss(hidden):
    labels, mask = torch.tensor([[1, 2], [3, 3], [2, 1]]), torch.ones(B, T, dtype=torch.bool)
    mask[2, 3:] = False
    module = Loss(labels=labels, mask=mask, label_mask=None)

    def loss(hidden, weight):
        return torch.func.functional_call(module, {"head.output.weight": weight}, (hidden,))

    weight = module.head.output.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, [hidden.requires_grad_(), weight])
    loss(hidden, weight).backward()
    assert not hidden.grad[~mask].any()


def test_with_its_weights_it_is_wav2vec2s(hidden):
    wav2vec = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    loss_ctc = pytest.importorskip("transformers.loss.loss_ctc")
    config = wav2vec.Wav2Vec2Config(
        hidden_size=D,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=3,
        vocab_size=V,
        conv_dim=(3,),
        conv_kernel=(2,),
        conv_stride=(2,),
        num_conv_pos_embeddings=2,
        num_conv_pos_embedding_groups=2,
    )
    theirs = wav2vec.Wav2Vec2ForCTC(config).eval().double()
    module = head(blank=1)
    module.output.load_state_dict(theirs.lm_head.state_dict())
    assert_close(module(hidden), theirs.lm_head(hidden))
    labels = torch.tensor([[2, 3], [3, -100], [0, 2]])
    mask = torch.arange(T) < torch.tensor([5, 4, 3])[:, None]
    expected = loss_ctc.ForCTCLoss(
        theirs.lm_head(hidden).float(), labels, mask.sum(1), blank_token_id=1, reduction="sum"
    )
    ours = module.loss(hidden, labels, mask=mask, label_mask=labels >= 0).loss
    assert_close(ours.float(), expected.float())


@pytest.mark.parametrize(
    ("labels", "mask", "label_mask", "message"),
    [
        ([[1, 0]], None, None, r"labels\[0, 1\] is 0: a label must be in 0 to 3 and not the blank, 0"),
        ([[1, 4]], None, None, r"labels\[0, 1\] is 4: a label must be in 0 to 3"),
        ([[-1, 1]], None, None, r"labels\[0, 0\] is -1"),
        ([[1, 2, 3]], [[1, 1, 0, 0, 0]], None, "row 0: 3 labels need 3 frames.* there are 2"),
        ([[1, 1, 2, 2]], None, None, "row 0: 4 labels need 6 frames, a blank .* there are 5"),
        ([[1, 2]], [[0, 1, 1, 1, 1]], None, "^mask has padding before a real place"),
        ([[1, 2]], None, [[0, 1]], "^label_mask has padding before a real place"),
    ],
)
def test_labels_that_cannot_be_written_are_refused(hidden, labels, mask, label_mask, message):
    masks = [None if given is None else torch.tensor(given).bool() for given in (mask, label_mask)]
    with pytest.raises(ValueError, match=message):
        head().loss(hidden[:1], torch.tensor(labels), mask=masks[0], label_mask=masks[1])


def test_as_many_frames_as_labels_and_blanks_between_equal_ones_are_enough(hidden):
    labels = torch.tensor([[1, 1, 2, 3, 3, 3]] * B)
    real = torch.arange(6).expand(B, 6) < 4  # equal labels at padding need no frame
    assert head().loss(hidden, labels, mask=None, label_mask=real).loss.isfinite()


def test_a_blank_outside_of_the_labels_is_refused():
    with pytest.raises(ValueError, match=r"blank \(4\) must be below vocab_size \(4\)"):
        CTCSpec(vocab_size=4, blank=4).check(d_model=D, embeddings={})


def test_dropout_acts_in_training_only(hidden):
    module = head(dropout=0.5)
    assert torch.equal(module(hidden), module(hidden))
    module.train()
    assert not torch.equal(module(hidden), module(hidden))


def test_it_works_in_every_precision(hidden):
    labels = torch.tensor([[1, 2], [3, 1], [2, 1]])
    exact = head().loss(hidden, labels, mask=None, label_mask=None).loss
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        module, given = head().to(dtype), hidden.to(dtype)
        with torch.inference_mode():
            loss = module.loss(given, labels, mask=None, label_mask=None).loss
        assert loss.dtype == torch.float32
        assert_close(loss.double(), exact, rtol=tolerance, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert head().float().loss(hidden.float(), labels, mask=None, label_mask=None).loss.isfinite()
    assert head().to("meta")(hidden.to("meta")).shape == (B, T, V)
