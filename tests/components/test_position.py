"""What holds for every positional encoding, and `none`."""

import pytest
import torch
from torch.testing import assert_close

from zoo.components.position import sinusoidal as sinusoidal_module
from zoo.components.position.none import NoPosition
from zoo.components.rotary_scaling.linear import LinearScaling
from zoo.kinds import POSITION
from zoo.masks import Mask

B, T, S, D, H = 2, 5, 7, 12, 3
ALL = [pytest.param(spec, id=f"{name}-{i}") for name in POSITION.names()
       for i, spec in enumerate(POSITION.examples(name))]  # fmt: skip
BIASES = [name for name in POSITION.names() if name in ("alibi", "key_alibi", "relative_buckets")]


def hooks(position, x, q, k, *, step, whole):
    """What the three hooks give: embed x and rotate q of `whole`, the bias of q's and k's of `step`."""
    return (
        position.embed(x, mask=whole),
        position.rotate(q, mask=whole),
        position.bias(q, k, scale=0.7, mask=step),
    )


def inputs(dtype=torch.float32, device="cpu"):
    torch.manual_seed(3)
    shapes = ((B, T, D), (B, H, T, D // H), (B, H, S, D // H))
    return [torch.randn(shape, dtype=dtype, device=device) for shape in shapes]


def masks():
    return {"step": Mask(offset=S - T), "whole": Mask()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("spec", ALL)
def test_hooks_answer_in_the_dtype_they_are_given(spec, dtype):
    position = POSITION.build(spec, d_model=D, n_heads=H).to(dtype)
    for out in hooks(position, *inputs(dtype), **masks()):
        assert out is None or out.dtype == dtype


@pytest.mark.parametrize("spec", ALL)
def test_hooks_work_on_the_meta_device_and_under_inference_mode(spec):
    with torch.device("meta"):
        position = POSITION.build(spec, d_model=D, n_heads=H)
    for out in hooks(position, *inputs(device="meta"), **masks()):
        assert out is None or out.is_meta
    with torch.inference_mode():  # made in it too: such a tensor counts no versions
        position = POSITION.build(spec, d_model=D, n_heads=H)
        inferred = hooks(position, *inputs(), **masks())
        again = hooks(position, *inputs(), **masks())
    for out, repeated in zip(inferred, again, strict=True):
        assert_close(out, repeated)


@pytest.mark.parametrize("spec", ALL)
def test_hooks_work_under_autocast(spec):
    position = POSITION.build(spec, d_model=D, n_heads=H)
    x, q, k = inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outs = hooks(position, x, q.bfloat16(), k.bfloat16(), **masks())
    for out, exact in zip(outs, hooks(position, x, q, k, **masks()), strict=True):
        if out is not None:
            assert_close(out.float(), exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("spec", ALL)
def test_a_compiled_graph_is_whole_and_gives_the_same(spec):
    position = POSITION.build(spec, d_model=D, n_heads=H)

    def run(x, q, k):
        return hooks(position, x, q, k, **masks())

    torch.compiler.reset()
    compiled = torch.compile(run, backend="eager", fullgraph=True)
    for out, plain in zip(compiled(*inputs()), run(*inputs()), strict=True):
        assert_close(out, plain)


@pytest.mark.parametrize("spec", ALL)
def test_a_mask_that_was_used_before_gives_what_a_new_one_gives(spec):
    position = POSITION.build(spec, d_model=D, n_heads=H).double()
    used = masks()
    x, q, k = inputs(torch.float64)
    for dtype in (torch.float32, torch.float64):  # a table shared between the two would lose digits
        hooks(position.to(dtype), x.to(dtype), q.to(dtype), k.to(dtype), **used)
    position.double()
    with torch.no_grad():
        for parameter in position.parameters():
            parameter.add_(torch.randn_like(parameter))
    hooks(position, x[:, :3], q[:, :, :3], k[:, :, :6], **used)
    again, new = hooks(position, x, q, k, **used), hooks(position, x, q, k, **masks())
    for ours, theirs in zip(again, new, strict=True):
        assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", BIASES)
def test_layers_share_one_bias_a_batch(name):
    position = POSITION.build(POSITION.examples(name)[0], d_model=D, n_heads=H)
    _, q, k = inputs()
    mask = Mask(offset=S - T)
    assert position.bias(q, k, scale=0.7, mask=mask) is position.bias(q + 1, k, scale=0.7, mask=mask)


def test_layers_queries_and_keys_share_one_table_a_batch(monkeypatch):
    calls = []
    true = LinearScaling.__call__
    monkeypatch.setattr(LinearScaling, "__call__", lambda *given: calls.append("rotary") or true(*given))
    waves = sinusoidal_module.sinusoids
    monkeypatch.setattr(
        sinusoidal_module, "sinusoids", lambda *given: calls.append("sinusoidal") or waves(*given)
    )
    x, q, _ = inputs()
    mask = Mask()
    rotary = POSITION.entry("rotary").spec.model_validate({"scaling": {"type": "linear", "factor": 2.0}})
    rotary = POSITION.build(rotary, d_model=D, n_heads=H)
    added = POSITION.build(POSITION.examples("sinusoidal")[0], d_model=D, n_heads=H)
    for _ in range(3):
        rotary.rotate(q, mask=mask)
        rotary.rotate(q[:, :1], mask=mask)  # fewer key heads
        added.embed(x, mask=mask)
    assert sorted(calls) == ["rotary", "sinusoidal"]


@pytest.mark.parametrize("name", ["sinusoidal", "learned"])
def test_counted_padding_moves_the_tokens_after_it(name):
    keys = torch.tensor([[False, False, True, True, True], [True, True, True, False, False]])
    x = inputs()[0]
    spec = POSITION.entry(name).spec

    def embed(counts_padding, x, mask):
        position = POSITION.build(spec(counts_padding=counts_padding), d_model=D, n_heads=H)
        torch.manual_seed(0)
        for parameter in position.parameters():
            torch.nn.init.normal_(parameter)
        return position.embed(x, mask=mask)

    alone = embed(False, x[:1, 2:], Mask())
    assert_close(embed(False, x, Mask(keys=keys))[:1, 2:], alone)
    columns = embed(True, x, Mask(keys=keys))
    assert_close(columns, embed(False, x, Mask()))
    assert (columns[:1, 2:] - alone).abs().max() > 0.1


def test_none_is_neutral():
    module = NoPosition(d_model=D, n_heads=H)
    x, q, k = inputs()
    mask = Mask()
    assert module.embed(x, mask=mask) is x
    assert module.rotate(q, mask=mask) is q
    assert module.bias(q, k, scale=0.7, mask=mask) is None
