import copy

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from zoo.kernels import linear as kernel
from zoo.kernels.linear import Linear, lay_together, linear, linears, prefers_onednn


def case(shape, dtype=torch.float32, n_out=11):
    torch.manual_seed(0)
    x = torch.randn(*shape, dtype=dtype, requires_grad=True)
    weight = torch.randn(n_out, shape[-1], dtype=dtype, requires_grad=True)
    bias = torch.randn(n_out, dtype=dtype, requires_grad=True)
    return x, weight, bias


@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 5), (2, 1, 4, 5), (1, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [True, False])
def test_value_and_gradients_equal_torchs(shape, dtype, with_bias):
    x, weight, bias = case(shape, dtype)
    inputs, b = ((x, weight, bias), bias) if with_bias else ((x, weight), None)
    ours, theirs = linear(x, weight, b), F.linear(x, weight, b)
    upstream = torch.randn_like(theirs)
    assert_close(ours, theirs)
    for a, c in zip(
        torch.autograd.grad(ours, inputs, upstream),
        torch.autograd.grad(theirs, inputs, upstream),
        strict=True,
    ):
        assert_close(a, c)


def test_it_is_float32_and_no_less():
    x, weight, _ = case((300, 1000), n_out=200)
    exact = F.linear(x.double(), weight.double())
    assert (linear(x, weight).double() - exact).abs().max() < 2e-4  # bfloat16 would be off by 0.3


def test_a_transposed_view_and_an_empty_batch_work():
    x, weight, bias = case((5, 7))
    assert_close(linear(x.t(), torch.randn(3, 5)).shape, torch.Size([7, 3]))
    assert linear(x[:0], weight, bias).shape == (0, 11)
    turned = torch.randn(6, 4).t()
    assert_close(linear(turned, torch.ones(2, 6)), F.linear(turned, torch.ones(2, 6)))


def test_autocast_still_lowers_it():
    x, weight, bias = case((7, 5))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16


def test_only_float32_on_the_cpu_goes_another_way():
    x, weight, _ = case((7, 5))
    assert not prefers_onednn(x.double(), weight.double())
    assert not prefers_onednn(x.to("meta"), weight.to("meta"))


def test_frozen_weights_get_no_gradient():
    x, _, _ = case((7, 5))
    layer = Linear(5, 11)
    layer.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert_close(x.grad, layer.weight.sum(0).expand(7, 5))


def test_a_large_gradient_is_float32_and_no_less():
    x = torch.randn(1024, 256, requires_grad=True)
    weight, upstream = torch.randn(512, 256), torch.randn(1024, 512)
    linear(x, weight).backward(upstream)
    assert (x.grad.double() - upstream.double() @ weight.double()).abs().max() < 2e-4


# Several maps of one input


def maps(biases=(True, True, True)):
    torch.manual_seed(0)
    found = [Linear(6, n, bias=bias) for n, bias in zip((8, 4, 5), biases, strict=True)]
    lay_together(*found)
    return found


class Doubled(Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def n_alone(x, found, monkeypatch, *, learns=False):
    """How many maps multiplied by themselves."""
    alone, forward = [], kernel.Linear.forward
    monkeypatch.setattr(kernel.Linear, "forward", lambda self, x: alone.append(self) or forward(self, x))
    with torch.set_grad_enabled(learns):
        linears(x, *found)
    return len(alone)


@pytest.mark.parametrize("biases", [(True,) * 3, (False,) * 3, (True, False, True)])
@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 6), (0, 6)])
@pytest.mark.parametrize("few", [0, kernel._FEW], ids=["by our function", "copied"])
def test_several_maps_equal_each_by_itself(biases, shape, few, monkeypatch):
    monkeypatch.setattr(kernel, "_FEW", few)
    found = maps(biases)
    x = torch.randn(shape, requires_grad=True)
    leaves = [x, *(parameter for each in found for parameter in each.parameters())]
    apart = [F.linear(x, each.weight, each.bias) for each in found]
    upstream = [torch.randn_like(out) for out in apart]
    expected = torch.autograd.grad(apart, leaves, upstream)
    together = linears(x, *found)
    assert_close(list(together), apart)
    assert_close(torch.autograd.grad(together, leaves, upstream), expected)


@pytest.mark.parametrize("few", [0, kernel._FEW], ids=["by our function", "copied"])
def test_one_that_is_not_used_gets_the_gradient_zero(few, monkeypatch):
    monkeypatch.setattr(kernel, "_FEW", few)
    found = maps()
    linears(torch.randn(7, 6), *found)[1].sum().backward()
    assert_close(found[1].bias.grad, torch.full((4,), 7.0))
    assert not found[0].weight.grad.any()


def test_they_are_one_product_while_they_lie_together(monkeypatch):
    x = torch.randn(7, 6)
    assert n_alone(x, maps(), monkeypatch) == 0
    loaded = torch.nn.ModuleList(maps())
    loaded.load_state_dict(torch.nn.ModuleList(maps()).state_dict())
    assert n_alone(x, loaded, monkeypatch) == 0
    assert n_alone(x, copy.deepcopy(maps()), monkeypatch) == 3


@pytest.mark.parametrize("few", [0, kernel._FEW], ids=["by our function", "copied"])
def test_in_training_they_are_one_product_wherever_they_lie(few, monkeypatch):
    monkeypatch.setattr(kernel, "_FEW", few)
    x = torch.randn(7, 6, requires_grad=True)
    together, apart = maps(), copy.deepcopy(maps())
    outs = [linears(x, *found) for found in (together, apart)]
    assert n_alone(x, together, monkeypatch, learns=True) == n_alone(x, apart, monkeypatch, learns=True) == 0
    upstream = [torch.randn_like(out) for out in outs[0]]
    grads = [
        torch.autograd.grad(out, [x, *(p for each in found for p in each.parameters())], upstream)
        for out, found in zip(outs, (together, apart), strict=True)
    ]
    assert all(torch.equal(*pair) for pair in zip(*outs, strict=True))
    assert all(torch.equal(*pair) for pair in zip(*grads, strict=True))


def test_a_step_of_an_optimizer_changes_what_the_product_reads():
    found = maps()
    optimizer = torch.optim.SGD([parameter for each in found for parameter in each.parameters()], lr=0.1)
    x = torch.randn(7, 6)
    sum(out.sum() for out in linears(x, *found)).backward()
    optimizer.step()
    assert_close(list(linears(x, *found)), [F.linear(x, each.weight, each.bias) for each in found])


@pytest.mark.parametrize(
    "change",
    [
        lambda found: setattr(found[1], "weight", torch.nn.Parameter(torch.randn(4, 6))),  # as by .to(device)
        lambda found: found.__setitem__(slice(None), copy.deepcopy(found)),
        lambda found: found[2].weight.requires_grad_(False),
        lambda found: found[1].register_forward_hook(lambda module, inputs, out: out + 1),
        lambda found: setattr(found[0], "__class__", Doubled),
        lambda found: setattr(found[1], "weight", torch.nn.Parameter(torch.randn(8 + 4, 6)[8:])),
        lambda found: setattr(found[0], "bias", None),
    ],
    ids=[
        "other memory",
        "copies",
        "one frozen",
        "a hook",
        "another class",
        "the same place of other memory",
        "some biases",
    ],
)
def test_else_each_multiplies_by_itself(change, monkeypatch):
    found = maps()
    change(found)
    x = torch.randn(7, 6, requires_grad=True)
    assert_close(list(linears(x, *found)), [each(x) for each in found])
    assert n_alone(x, found, monkeypatch) == 3
    sum(out.sum() for out in linears(x, *found)).backward()
    for each in found:
        assert (each.weight.grad is not None) == each.weight.requires_grad


def test_stand_ins_of_a_transformation_multiply_apart():
    found = torch.nn.ModuleDict({str(i): each for i, each in enumerate(maps())})

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = found

        def forward(self, x):
            return torch.cat(linears(x, *self.maps.values()), dim=-1)

    whole, x = Whole(), torch.randn(7, 6)
    both = {name: torch.stack([parameter, 2 * parameter]) for name, parameter in whole.named_parameters()}
    out = torch.func.vmap(lambda parameters: torch.func.functional_call(whole, parameters, x))(both)
    assert_close(out, torch.stack([whole(x), 2 * whole(x)]))
