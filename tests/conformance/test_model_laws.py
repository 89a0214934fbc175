"""Whole models under their laws: every preset and example spec at its tiny scale; and each law seen red."""

from pathlib import Path

import pytest
import torch

import presets
import zoo
from registry import dump, parse
from zoo.assembly.decoder_only import DecoderOnly, DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoder, EncoderDecoderSpec
from zoo.assembly.encoder_only import EncoderOnly, EncoderOnlySpec
from zoo.assembly.stack import Stack
from zoo.components.head.language_model import LanguageModelHead
from zoo.conformance.laws import laws, part_of
from zoo.kernels.cache import KeyValueCache
from zoo.kinds import HEAD, MODEL
from zoo.masks import Mask

SPECS = sorted((Path(__file__).parents[2] / "examples" / "specs").glob("*.yaml"))
SOURCES = {name: name for name in presets.names()} | {path.name: path for path in SPECS}


def cases():
    for name, source in SOURCES.items():
        spec = zoo.load(source, scale="tiny").model
        part = part_of(MODEL, spec)
        marks = (
            [pytest.mark.slow] if "/" in name else []
        )  # a row of the paper's tables: another preset's form
        for law in laws(part):
            yield pytest.param(law, part, id=f"{name}-{law.name}", marks=marks)


@pytest.mark.parametrize(("law", "part"), list(cases()))
def test_law(law, part):
    law.check(part)


TOKENS = {"type": "tokens", "vocab_size": 23}
STACK = {
    "n_layers": 2,
    "layer": {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": {"type": "mlp", "d_ff": 7}},
}
SERIES = parse(
    DecoderOnlySpec,
    {
        "d_model": 12,
        "tokens": {"type": "series_steps", "patch_len": 2},
        "decoder": STACK,
        "head": {"type": "regression", "n_outputs": 2},
    },
)
DECODER = parse(
    DecoderOnlySpec,
    {
        "d_model": 12,
        "tokens": TOKENS,
        "decoder": STACK,
        "head": {"type": "language_model", "predicts": "tokens"},
    },
)
ENCODER = parse(EncoderOnlySpec, {"d_model": 12, "inputs": TOKENS, "encoder": STACK, "head": "none"})
BOTH = parse(
    EncoderDecoderSpec,
    {
        "d_model": 12,
        "source": TOKENS,
        "target": {"share": "source"},
        "encoder": STACK,
        "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
        "head": {"type": "language_model", "predicts": "target"},
    },
)


FRAMES = {"type": "mel_frames", "n_mels": 5}
PATCHES = {"type": "image_patches", "image_size": 8, "patch_size": 4}
OTHERS = {
    **{
        f"a decoder with a head that pools, {pool}": DECODER.model_copy(update={"head": head})
        for pool in ("first", "last", "mean", "attention")
        for head in [HEAD.entry("pooled_classifier").spec(n_classes=3, pool=pool)]
    },
    "patches that a decoder describes": parse(
        EncoderDecoderSpec, {**dump(BOTH), "source": PATCHES, "target": TOKENS}
    ),
    "frames that a pooling head sums up": parse(
        EncoderOnlySpec, {**dump(ENCODER), "inputs": FRAMES, "head": {"type": "pooled", "pool": "mean"}}
    ),
    # No check passes these: what can be tried of them is tried.
    "patches where a decoder writes": DecoderOnlySpec.model_validate(
        {**dump(DECODER), "tokens": PATCHES, "head": {"type": "pooled", "pool": "last"}}
    ),
    "frames where a decoder writes": EncoderDecoderSpec.model_validate(
        {**dump(BOTH), "target": FRAMES, "head": {"type": "none"}}
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_laws_are_chosen_by_what_a_model_is(name):
    part = part_of(MODEL, OTHERS[name])
    found = {law.name: law.check for law in laws(part)}
    writes = "where a decoder writes" not in name and "decode" in name
    assert ("the_future_is_hidden" in found, "token_by_token_equals_all_at_once" in found) == (writes, writes)
    assert "padding_is_ignored" not in found
    assert len(found) >= 4
    for check in found.values():
        check(part)


def must_fail(law, spec, match):
    part = part_of(MODEL, spec)
    check = {each.name: each.check for each in laws(part)}[law]
    with pytest.raises(AssertionError, match=match):
        check(part)


def around(monkeypatch, cls, method, change):
    true = getattr(cls, method)
    monkeypatch.setattr(cls, method, lambda self, *given, **named: change(self, true(self, *given, **named)))


def test_noise_is_caught(monkeypatch):
    around(monkeypatch, DecoderOnly, "forward", lambda self, out: out + torch.rand(1))
    must_fail("outputs_are_finite_and_repeatable", DECODER, "two evaluations")


def test_numbers_that_are_not_finite_are_caught(monkeypatch):
    around(monkeypatch, DecoderOnly, "forward", lambda self, out: out / 0.0)
    must_fail("outputs_are_finite_and_repeatable", DECODER, "not finite")


def test_a_parameter_without_a_gradient_is_caught(monkeypatch):
    around(monkeypatch, EncoderOnly, "forward", lambda self, out: out.detach() + self.inputs.weight.sum())
    must_fail("parameters_get_finite_gradients", ENCODER, "gets no gradient")


def test_a_hidden_state_is_caught(monkeypatch):
    around(monkeypatch, DecoderOnly, "forward", lambda self, out: out + id(self) / 1e9)
    must_fail("the_state_round_trips", DECODER, "whole state")


def test_a_parameter_allocated_on_the_cpu_alone_is_caught(monkeypatch):
    init = DecoderOnly.__init__

    def larger(self, **parts):
        init(self, **parts)
        if torch.empty(0).device.type == "cpu":
            self.extra = torch.nn.Parameter(torch.zeros(3))

    monkeypatch.setattr(DecoderOnly, "__init__", larger)
    must_fail("meta_build_has_the_same_shapes", DECODER, "on meta")


POOLING = OTHERS["a decoder with a head that pools, last"]


@pytest.mark.parametrize(
    "spec", [DECODER, BOTH, POOLING, SERIES], ids=["decoder_only", "encoder_decoder", "pooling", "series"]
)
def test_a_look_ahead_is_caught(monkeypatch, spec):
    true = Stack.forward

    def look_ahead(self, x, *given, mask, **named):
        return true(self, x, *given, mask=Mask(keys=mask.keys, offset=mask.offset), **named)

    monkeypatch.setattr(Stack, "forward", look_ahead)
    must_fail("the_future_is_hidden", spec, "before a changed token")


def test_a_head_that_looks_ahead_is_caught(monkeypatch):
    around(monkeypatch, LanguageModelHead, "forward", lambda self, out: out + out.roll(-1, dims=1))
    must_fail("the_future_is_hidden", DECODER, "outputs before a changed token")


@pytest.mark.parametrize("spec", [DECODER, BOTH, SERIES], ids=["decoder_only", "encoder_decoder", "series"])
def test_a_cache_that_changes_what_it_holds_is_caught(monkeypatch, spec):
    append = KeyValueCache.append
    monkeypatch.setattr(KeyValueCache, "append", lambda self, k, v: append(self, k, v * 1.01))
    must_fail("token_by_token_equals_all_at_once", spec, "token by token")


def test_padding_that_is_seen_is_caught(monkeypatch):
    around(
        monkeypatch,
        EncoderOnly,
        "hidden",
        lambda self, out: (out[0] + out[0].mean(dim=1, keepdim=True), out[1]),
    )
    must_fail("padding_is_ignored", ENCODER, "padded row")
    around(monkeypatch, EncoderDecoder, "encode_masked", lambda self, out: (out[0], None))
    must_fail("padding_of_the_source_is_ignored", BOTH, "padded source")
