"""Every registered component takes the calls of its kind's Protocol."""

import inspect

import pytest
from torch import nn

import zoo.kinds
from registry import Kind, kinds

KINDS = [kind for kind in kinds() if kind.module.startswith(zoo.kinds.__name__)]
WITHOUT_CALLS = {
    "model",
    "callback",
    "logger",
    "optimizer",
}  # models differ in their calls; the others are functions, which make what is torch's or Lightning's


def refused_calls(kind: Kind, component: type) -> list[str]:
    """The calls of the kind's Protocol that a component's class does not take."""
    refused = []
    for name, call in vars(kind.protocol).items():
        if not (inspect.isfunction(call) and call.__doc__):
            continue
        own = "forward" if name == "__call__" and issubclass(component, nn.Module) else name
        method = inspect.getattr_static(component, own, None)
        if method is None:
            refused.append(f"{own} is missing")
            continue
        asked = list(inspect.signature(call).parameters.values())
        if isinstance(method, staticmethod):
            method, asked = method.__func__, asked[1:]
        try:
            inspect.signature(method).bind(
                *(each.name for each in asked if each.kind is not each.KEYWORD_ONLY),
                **{each.name: each for each in asked if each.kind is each.KEYWORD_ONLY},
            )
        except TypeError as error:
            refused.append(f"{own}: {error}")
    return refused


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, id=f"{kind.name}-{name}")
        for kind in KINDS
        if kind.name not in WITHOUT_CALLS
        for name in kind.names()
    ],
)
def test_a_component_takes_the_calls_of_its_contract(kind, name):
    builder = kind.entry(name).builder
    assert isinstance(builder, type)
    assert refused_calls(kind, builder) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_ours_has_a_protocol(kind):
    assert kind.protocol is not None
    assert kind.contract
    assert kind.check is not None


def test_a_component_that_refuses_a_call_is_found():
    class Narrow(nn.Module):
        def forward(self, query, memory=None, *, mask, position): ...

    class Half:
        def embed(self, x, *, mask): ...

        def bias(self, q, k, *, mask): ...

    assert refused_calls(zoo.kinds.ATTENTION, Narrow) == [
        "forward: got an unexpected keyword argument 'cache'",
        "new_cache is missing",
        "new_memory_cache is missing",
    ]
    assert refused_calls(zoo.kinds.POSITION, Half) == [
        "rotate is missing",
        "rotate_keys is missing",
        "bias: got an unexpected keyword argument 'scale'",
    ]
