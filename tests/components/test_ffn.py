import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import SpecError, check, parse
from zoo.components.activations import ACTIVATIONS
from zoo.components.ffn.glu import GLU, GLUSpec
from zoo.components.ffn.mixture_of_experts import MixtureOfExperts, MixtureOfExpertsSpec
from zoo.components.ffn.mlp import MLP
from zoo.components.ffn.none import NoFFN
from zoo.kinds import FFN

D, D_FF = 6, 11


def mlp(activation="relu", bias=True, dropout=0.0, output_dropout=0.0):
    return MLP(
        d_model=D, d_ff=D_FF, activation=activation, bias=bias, dropout=dropout, output_dropout=output_dropout
    )


def glu(activation="silu", d_ff=D_FF, multiple_of=1, d_model=D):
    return GLU(
        d_model=d_model, d_ff=d_ff, multiple_of=multiple_of, activation=activation, bias=False, dropout=0.0
    )


def mixture(**fields):
    torch.manual_seed(0)
    small = {"n_experts": 5, "top_k": 2, "expert": {"type": "glu", "d_ff": 7}}
    spec = parse(MixtureOfExpertsSpec, {"type": "mixture_of_experts", **small, **fields})
    return FFN.build(spec, d_model=D)


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


# The plain networks


def test_mlp_is_equation_2():
    torch.manual_seed(0)
    module = mlp()
    x = torch.randn(2, 5, D)
    hidden = (x @ module.inner.weight.T + module.inner.bias).clamp(min=0)
    assert_close(module(x), hidden @ module.outer.weight.T + module.outer.bias)
    assert n_parameters(module) == 2 * D * D_FF + D_FF + D


def test_the_two_gelus_are_the_exact_one_and_its_tanh_approximation():
    x = torch.randn(2, 5, D)
    for activation in ("gelu", "gelu_tanh"):
        torch.manual_seed(0)
        module = mlp(activation, bias=False)
        z = x @ module.inner.weight.T
        exact = z * 0.5 * (1 + torch.erf(z / 2**0.5))
        tanh = 0.5 * z * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (z + 0.044715 * z**3)))
        assert_close(module(x), (exact if activation == "gelu" else tanh) @ module.outer.weight.T)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("relu", "relu"),
        ("relu_squared", "relu2"),
        ("gelu", "gelu"),
        ("gelu_tanh", "gelu_new"),
        ("gelu_tanh", "gelu_pytorch_tanh"),
        ("quick_gelu", "quick_gelu"),
        ("silu", "silu"),
        ("silu", "swish"),
        ("mish", "mish"),
        ("sigmoid", "sigmoid"),
        ("tanh", "tanh"),
        ("identity", "linear"),
    ],
)
def test_activations_are_those_of_transformers(ours, theirs):
    activations = pytest.importorskip("transformers.activations")
    z = torch.linspace(-7, 7, 57, dtype=torch.float64)
    assert_close(ACTIVATIONS[ours](z), activations.ACT2FN[theirs](z))


def test_every_activation_has_values_worked_out_by_hand():
    two = torch.tensor([-2.0, 2.0], dtype=torch.float64)
    softplus = torch.log1p(two.exp())
    by_hand = {
        "relu": two * torch.tensor([0, 1]),
        "relu_squared": torch.tensor([0.0, 4.0], dtype=torch.float64),
        "gelu": two * torch.tensor([1 - 0.97724986805182, 0.97724986805182], dtype=torch.float64),
        "gelu_tanh": two / (1 + (-2 * (2 / torch.pi) ** 0.5 * (two + 0.044715 * two**3)).exp()),
        "quick_gelu": two / (1 + (-1.702 * two).exp()),
        "silu": two / (1 + (-two).exp()),
        "mish": two * softplus.tanh(),
        "sigmoid": 1 / (1 + (-two).exp()),
        "tanh": (two.exp() - (-two).exp()) / (two.exp() + (-two).exp()),
        "identity": two,
    }
    assert set(by_hand) == set(ACTIVATIONS)
    for name, expected in by_hand.items():
        assert_close(ACTIVATIONS[name](two), expected, msg=name)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    module = mlp(dropout=0.5)
    x = torch.randn(2, 5, D)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


def test_output_dropout_keeps_or_drops_values_of_the_output():
    torch.manual_seed(0)
    module = mlp(output_dropout=0.25)
    x = torch.randn(20, 50, D)
    kept = module(x)
    module.eval()
    whole = module(x)
    dropped = kept == 0
    assert 0.2 < dropped.float().mean() < 0.3
    assert_close(kept, torch.where(dropped, 0.0, whole / 0.75))


def test_no_ffn_adds_nothing():
    x = torch.full((2, 5, D), torch.inf, dtype=torch.bfloat16)  # 0 · x would be no number
    assert torch.equal(NoFFN(d_model=D)(x), torch.zeros(2, 5, D, dtype=torch.bfloat16))


# Gated


def test_glu_gates_with_its_first_matrix():
    torch.manual_seed(0)
    x = torch.randn(2, 5, D)
    for activation, function in (("silu", F.silu), ("sigmoid", torch.sigmoid), ("identity", lambda z: z)):
        module = glu(activation)
        gated = function(x @ module.gate.weight.T) * (x @ module.inner.weight.T)
        assert_close(module(x), gated @ module.outer.weight.T)


def test_a_glu_without_a_width_has_the_parameters_of_an_mlp_of_four_times_d_model():
    assert n_parameters(glu(d_ff=None)) == 8 * D * D  # an mlp of 4·D: two matrices of D · 4D


@pytest.mark.parametrize(
    ("d_model", "multiple_of", "d_ff"),
    [(4096, 256, 11008), (5120, 256, 13824), (6656, 256, 17920), (8192, 256, 22016), (512, 1, 1365)],
)
def test_derived_widths_are_those_of_llama(d_model, multiple_of, d_ff):
    with torch.device("meta"):
        module = glu(d_model=d_model, d_ff=None, multiple_of=multiple_of)
    assert module.gate.weight.shape == module.inner.weight.shape == (d_ff, d_model)
    assert module.outer.weight.shape == (d_model, d_ff)


def test_a_multiple_for_a_given_width_is_refused():
    parse(GLUSpec, {"d_ff": 12}).check(d_model=D)
    parse(GLUSpec, {"multiple_of": 8}).check(d_model=D)
    spec = parse(GLUSpec, {"d_ff": 12, "multiple_of": 8})
    with pytest.raises(ValueError, match=r"multiple_of \(8\) .* d_ff is given \(12\)"):
        spec.check(d_model=D)


# Mixture of experts


def by_loops(module, x):
    """One token at a time: the softmax over all experts, the best k, their outputs weighted."""
    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            token = x[b, t]
            exps = [torch.exp((row * token).sum()).item() for row in module.router.weight]
            probabilities = [e / sum(exps) for e in exps]
            best = sorted(range(len(exps)), key=lambda e: -probabilities[e])[: module.top_k]
            total = sum(probabilities[e] for e in best) if module.normalised else 1.0
            for e in best:
                out[b, t] += probabilities[e] / total * module.experts[e](token[None, None])[0, 0]
            if module.shared_expert is not None:
                out[b, t] += module.shared_expert(token[None, None])[0, 0]
    return out


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"normalised": False, "top_k": 3},
        {"top_k": 1, "shared_expert": {"type": "mlp", "d_ff": 4}},
        {"top_k": 5, "expert": {"type": "mlp", "d_ff": 3}},
        {"n_experts": 1, "top_k": 1},
    ],
)
def test_a_mixture_sends_each_token_to_its_best_experts(fields):
    module = mixture(**fields).double()
    x = torch.randn(3, 7, D, dtype=torch.float64)
    assert_close(module(x), by_loops(module, x))


def mixtral_block(n_experts, top_k, d_ff):
    mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    config = mixtral.MixtralConfig(
        hidden_size=D, intermediate_size=d_ff, num_local_experts=n_experts, num_experts_per_tok=top_k
    )
    config._experts_implementation = "eager"
    block = mixtral.MixtralSparseMoeBlock(config)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return block


@pytest.mark.parametrize(("n_experts", "top_k"), [(4, 2), (7, 3)])
def test_a_mixture_is_that_of_mixtral(n_experts, top_k):
    torch.manual_seed(1)
    d_ff = 9
    block = mixtral_block(n_experts, top_k, d_ff)
    module = mixture(n_experts=n_experts, top_k=top_k, expert={"type": "glu", "d_ff": d_ff}, balance=0.0)
    weights = {"router.weight": block.gate.weight}
    for e in range(n_experts):
        weights[f"experts.{e}.gate.weight"], weights[f"experts.{e}.inner.weight"] = (
            block.experts.gate_up_proj[e].chunk(2)
        )
        weights[f"experts.{e}.outer.weight"] = block.experts.down_proj[e]
    module.load_state_dict(weights)
    x = torch.randn(3, 13, D)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, reference = module(mine), block(theirs)
    assert_close(ours, reference, atol=1e-5, rtol=1e-5)
    upstream = torch.randn_like(ours)
    ours.backward(upstream)
    reference.backward(upstream)
    assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    assert_close(module.router.weight.grad, block.gate.weight.grad, atol=1e-5, rtol=1e-5)
    for e, expert in enumerate(module.experts):
        gate_up = torch.cat([expert.gate.weight.grad, expert.inner.weight.grad])
        assert_close(gate_up, block.experts.gate_up_proj.grad[e], atol=1e-5, rtol=1e-5)


def test_balanced_routing_costs_the_coefficient():
    module = mixture(n_experts=D, top_k=1, balance=0.25)
    with torch.no_grad():
        module.router.weight.copy_(torch.eye(D) * 3)
    x = torch.eye(D)[None]  # token i prefers expert i, and all share what is left alike
    module(x)
    assert_close(module.auxiliary_loss, torch.tensor(0.25))


def test_routing_to_one_expert_costs_its_probability_times_the_number_of_experts():
    module = mixture(n_experts=D, top_k=1, balance=0.25)
    with torch.no_grad():
        module.router.weight.copy_(torch.eye(D) * 3)
    module(torch.eye(D)[None, [2, 2, 2]])
    p = torch.tensor(3.0).exp() / (torch.tensor(3.0).exp() + D - 1)
    assert_close(module.auxiliary_loss, 0.25 * D * p)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_the_auxiliary_loss_is_that_of_mixtral_over_k(top_k):
    mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    module = mixture(n_experts=5, top_k=top_k, balance=1.0)
    torch.nn.init.normal_(module.router.weight)
    x = torch.randn(3, 7, D)
    module(x)
    theirs = mixtral.load_balancing_loss_func((module.router(x.flatten(0, 1)),), 5, top_k)
    assert_close(module.auxiliary_loss, theirs / top_k)
    module.auxiliary_loss.backward()
    assert module.router.weight.grad.any()


def test_there_is_an_auxiliary_loss_in_training_only_and_only_with_a_coefficient():
    x = torch.randn(2, 3, D)
    module = mixture()
    module(x)
    assert module.auxiliary_loss.requires_grad
    module.eval()(x)
    assert module.auxiliary_loss is None
    module = mixture(balance=0.0)
    module(x)
    assert module.auxiliary_loss is None


def test_an_expert_that_no_token_chose_has_a_gradient_of_zero():
    module = mixture(n_experts=D, top_k=1)
    with torch.no_grad():
        module.router.weight.copy_(torch.eye(D) * 3)
    module(torch.eye(D)[None, [2, 4]]).sum().backward()
    for e, expert in enumerate(module.experts):
        assert bool(expert.outer.weight.grad.any()) is (e in (2, 4))


@pytest.mark.parametrize("shape", [(0, 3, D), (2, 0, D)])
def test_a_mixture_takes_an_empty_batch(shape):
    module = mixture()
    assert module(torch.empty(shape)).shape == shape
    assert module.auxiliary_loss is None


def test_a_mixture_that_was_trained_can_be_copied_and_saved():
    module = mixture()
    x = torch.randn(2, 3, D)
    expected = module(x)
    saved = io.BytesIO()
    torch.save(module, saved)
    saved.seek(0)
    for other in (copy.deepcopy(module), torch.load(saved, weights_only=False)):
        assert other.auxiliary_loss is None
        assert_close(other(x), expected)
    assert module.auxiliary_loss is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_mixture_routes_in_float32_and_answers_in_its_own_dtype(dtype):
    module = mixture(shared_expert={"type": "mlp", "d_ff": 4}).to(dtype)
    x = torch.randn(2, 5, D, dtype=dtype)
    out = module(x)
    assert out.dtype == dtype
    assert module.auxiliary_loss.dtype == torch.float32
    assert_close(out.double(), by_loops(module.double(), x.double()), atol=0.02, rtol=0.02)


def test_a_mixture_works_under_autocast():
    module, x = mixture(), torch.randn(2, 5, D)
    plain = module(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(x)
    out.float().sum().backward()
    assert_close(out.float(), plain, atol=0.02, rtol=0.05)


def test_a_mixture_of_mixtures_balances_both():
    inner = {"type": "mixture_of_experts", "n_experts": 2, "top_k": 1, "expert": {"type": "mlp", "d_ff": 3}}
    module = mixture(n_experts=3, expert=inner)
    module(torch.randn(2, 9, D))
    assert [expert.auxiliary_loss is not None for expert in module.experts] == [True] * 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": 6}, "ffn: top_k (6) must not be above n_experts (5)"),
        ({"expert": {"type": "glu", "d_ff": 4, "multiple_of": 8}}, "ffn.expert: multiple_of (8)"),
        (
            {"shared_expert": {"type": "glu", "d_ff": 4, "multiple_of": 8}},
            "ffn.shared_expert: multiple_of (8)",
        ),
    ],
)
def test_what_a_mixture_cannot_be_is_refused(fields, message):
    spec = parse(MixtureOfExpertsSpec, {"n_experts": 5, **fields})
    (problem,) = check(spec, "ffn", d_model=D)
    assert str(problem).startswith(message)


def test_an_unknown_expert_is_refused_by_its_place():
    with pytest.raises(SpecError, match=r"expert\.type: no ffn is registered as 'gluu'; did you mean 'glu'"):
        parse(MixtureOfExpertsSpec, {"expert": {"type": "gluu"}})


def test_a_mixture_is_a_module_without_any_spec_of_its_own():
    module = MixtureOfExperts(
        d_model=D,
        n_experts=3,
        top_k=1,
        expert=GLUSpec(d_ff=4),
        shared_expert=None,
        normalised=False,
        router_bias=False,
        balance=0.0,
    )
    names = {name for name, _ in module.named_parameters()}
    parts = ("gate", "inner", "outer")
    assert names == {"router.weight"} | {f"experts.{e}.{part}.weight" for e in range(3) for part in parts}
