"""Losses that parts report by themselves: summed, weighted, and given once."""

import torch
from torch.testing import assert_close

import zoo
from zoo.assembly.auxiliary import auxiliary_loss

EXPERTS = {
    "type": "mixture_of_experts",
    "n_experts": 3,
    "top_k": 2,
    "expert": {"type": "glu", "d_ff": 7},
    "balance": 0.5,
}


def model(n_layers=2, ffn=EXPERTS, **stack):
    layer = {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": ffn, "dropout": 0.0}
    spec = {
        "type": "decoder_only",
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {"n_layers": n_layers, "layer": layer, **stack},
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    torch.manual_seed(3)
    return zoo.build(zoo.load({"model": spec}).model).train()


def test_it_is_the_sum_over_layers_and_reaches_the_routers():
    net = model()
    net(torch.randint(5, 23, (2, 5)))
    parts = [layer.ffn.auxiliary_loss for layer in net.decoder.layers]
    total = auxiliary_loss(net)
    assert_close(total, parts[0] + parts[1])
    total.backward()
    assert all(layer.ffn.router.weight.grad.any() for layer in net.decoder.layers)


def test_there_is_none_in_evaluation_and_without_such_parts():
    net = model().eval()
    net(torch.randint(5, 23, (2, 5)))
    assert auxiliary_loss(net) is None
    plain = model(ffn={"type": "mlp", "d_ff": 7})
    plain(torch.randint(5, 23, (2, 5)))
    assert auxiliary_loss(plain) is None


def test_a_layer_that_a_pass_leaves_out_does_not_give_its_old_loss_again():
    net = model(n_layers=6, layer_drop=0.5)
    for _ in range(4):
        loss = net(torch.randint(5, 23, (2, 5))).square().mean()
        if (auxiliary := auxiliary_loss(net)) is not None:
            loss = loss + auxiliary
        loss.backward()  # a loss of an earlier pass would be gone through a second time
    assert auxiliary_loss(net) is None
