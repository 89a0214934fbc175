"""Whole models that mix by something else than attention: their laws, and that they learn and search."""

import pytest
import torch

import zoo
from registry import check, parse
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.assembly.encoder_only import EncoderOnlySpec
from zoo.conformance.laws import laws, part_of
from zoo.conformance.trials import randomised
from zoo.kinds import DECODING, MIXER, MODEL
from zoo.special_ids import BOS, EOS

TOKENS = {"type": "tokens", "vocab_size": 23}
FFN = {"type": "mlp", "d_ff": 7}
HEADS = {"type": "multi_head", "n_heads": 3}
LANGUAGE = {"type": "language_model"}
EXAMPLES = {f"{name}-{i}": spec for name in MIXER.names() for i, spec in enumerate(MIXER.examples(name))}
RIVALS = ["seq2seq_lstm", "seq2seq_bahdanau", "seq2seq_luong", "conv_seq2seq", "hybrid"]


def fits(spec, role):
    return not check(spec, "", d_model=12, role=role, position=None)


def encoder_only(mixer):
    stack = {"n_layers": 2, "layer": {"mixer": mixer, "ffn": FFN}}
    data = {"d_model": 12, "inputs": TOKENS, "encoder": stack, "head": "none"}
    return parse(EncoderOnlySpec, data)


def decoder_only(mixer):
    stack = {"n_layers": 2, "layer": {"mixer": mixer, "ffn": FFN}}
    head = {**LANGUAGE, "predicts": "tokens"}
    return parse(DecoderOnlySpec, {"d_model": 12, "tokens": TOKENS, "decoder": stack, "head": head})


def encoder_decoder(mixer):
    """The mixer in both stacks, where it may stand; in the decoder beside a cross-attention, or reading by itself."""
    both = {name: {"self_attention": HEADS} for name in ("encoder", "decoder")}
    both |= {
        name: {"mixer": mixer}
        for name, role in zip(both, ("self", "causal"), strict=True)
        if fits(mixer, role)
    }
    if not mixer.reads_memory:
        both["decoder"]["cross_attention"] = HEADS
    stacks = {name: {"n_layers": 2, "layer": {**parts, "ffn": FFN}} for name, parts in both.items()}
    head = {**LANGUAGE, "predicts": "target"}
    data = {"d_model": 12, "source": TOKENS, "target": {"share": "source"}, "head": head}
    return parse(EncoderDecoderSpec, {**data, **stacks})


def models():
    for name, mixer in EXAMPLES.items():
        if fits(mixer, "self"):
            yield f"encoder_only-{name}", encoder_only(mixer)
        if fits(mixer, "causal") and not mixer.reads_memory:
            yield f"decoder_only-{name}", decoder_only(mixer)
        yield f"encoder_decoder-{name}", encoder_decoder(mixer)


@pytest.mark.parametrize(
    ("law", "part"),
    [
        pytest.param(
            law,
            part,
            id=f"{name}-{law.name}",
            marks=[] if name.startswith("decoder_only") or name.endswith("-0") else [pytest.mark.slow],
        )
        for name, spec in models()
        for part in [part_of(MODEL, spec)]
        for law in laws(part)
    ],
)
def test_law(law, part):
    law.check(part)


def log_probability(model, source, tokens):
    """Of the tokens after the source, by one pass over all of them."""
    target = torch.tensor([[BOS, *tokens]])
    scores = model(source[None], target)[0].log_softmax(-1)
    return sum(scores[i, token].item() for i, token in enumerate(tokens))


def sources():
    torch.manual_seed(4)
    source = torch.randint(4, 23, (3, 6))
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 3:] = False
    return source, mask


@pytest.mark.parametrize("name", [n for n, m in EXAMPLES.items() if fits(m, "causal") and n.endswith("-0")])
def test_a_beam_scores_what_it_finds_as_one_pass_does(name):
    torch.manual_seed(3)
    model = randomised(build(encoder_decoder(EXAMPLES[name])))
    source, mask = sources()
    spec = DECODING.entry("beam").spec(beam_size=4, length_penalty="none", max_length=7, n_best=4)
    found = DECODING.build(spec)(model, source, mask)
    ends = set()
    for row, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            ends.add(tuple(hypothesis.tokens))
            wanted = log_probability(model, source[row][mask[row]], [*hypothesis.tokens, EOS])
            assert hypothesis.log_probability == pytest.approx(wanted, abs=1e-6)
    assert len(ends) > 3


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_learns(name):
    """Sentences of one batch, written backwards, are known by heart after some steps."""
    torch.manual_seed(5)
    run = zoo.load(name, scale="tiny")
    model = build(run.model).train()
    source = torch.randint(5, 60, (8, 6))
    target = torch.cat([torch.full((8, 1), 2), source.flip(1)], dim=1)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(60):
        logits = model(source, target[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 4.5
    assert losses[-1] < 0.6 * losses[0]
