"""Whisper beyond its certificate: padded targets, its own generate, base models, and what is refused."""

from __future__ import annotations

import tempfile

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

import zoo
from registry import SpecError
from zoo.errors import DataError
from zoo.interop.certify import random_reference
from zoo.interop.config import Config
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import spec_of
from zoo.interop.trial import padding_mask
from zoo.interop.writing import search_of
from zoo.kinds import DECODING

WHISPER = family_named("whisper")
SMALL = {**WHISPER.examples[0], "tie_word_embeddings": False}  # a tied random model only repeats itself
END, START = SMALL["eos_token_id"], SMALL["decoder_start_token_id"]


@pytest.fixture(scope="module")
def pair():
    reference = random_reference(WHISPER, SMALL, seed=15)
    return reference, from_hf(reference)[1]


def spectrograms(n=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, SMALL["num_mel_bins"], 2 * SMALL["max_source_positions"], generator=random)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_targets_have_the_references_logits(pair, side):
    reference, model = pair
    features, mask = spectrograms(), padding_mask([7, 3, 5], side)
    tokens = torch.randint(SMALL["vocab_size"], mask.shape, generator=torch.Generator().manual_seed(1))
    theirs = reference(
        input_features=features,
        decoder_input_ids=tokens,
        decoder_attention_mask=mask.long(),
        decoder_position_ids=(mask.cumsum(1) - 1).clamp(min=0),  # as its generate counts
    ).logits
    ours = model(features, tokens, target_mask=mask)
    assert_close(ours[mask], theirs[mask], rtol=0, atol=2e-5 * theirs[mask].abs().max().item())


def written_step_by_step(reference, features, n):
    """The argmax of the reference's plain forward, token by token."""
    found = []
    for row in features[:, None]:
        tokens = [START]
        while len(tokens) <= n:
            logits = reference(input_features=row, decoder_input_ids=torch.tensor([tokens])).logits
            tokens.append(int(logits[0, -1].argmax()))
            if tokens[-1] == END:
                tokens.pop()
                break
        found.append(tokens[1:])
    return found


def search(model, features, n, never=()):
    ids = {"pad": END, "start": START, "end": END, "never": list(never)}
    spec = DECODING.entry("greedy").spec.model_validate({"max_length": n, "ids": ids})
    return [found[0].tokens for found in DECODING.build(spec)(model, features)]


@torch.no_grad()
def test_greedy_search_is_the_argmax_of_the_references_forward(pair):
    reference, model = pair
    features = spectrograms(4, seed=2)
    written = written_step_by_step(reference, features, n=12)
    assert search(model, features, n=12) == written
    assert len(set(map(tuple, written))) > 2
    assert len(set(map(len, written))) > 1  # some end early


@torch.no_grad()
def test_with_the_suppressed_ids_as_never_it_is_whispers_own_generate(pair):
    reference, model = pair
    features, never = spectrograms(4, seed=2), [2, 3, 5, 11, START]
    rows = reference.generate(
        input_features=features,
        suppress_tokens=never,
        begin_suppress_tokens=None,
        max_new_tokens=9,
        num_beams=1,
    )
    theirs = [[token for token in row.tolist() if token not in (START, END)] for row in rows]
    assert search(model, features, n=9, never=never) == theirs


def test_its_search_is_the_configs_and_the_presets():
    def found(config):
        return search_of(WHISPER.writing, Config(config), None, spec_of(WHISPER, config))[0]

    search = found({**SMALL, "suppress_tokens": [7, 9]})
    assert search["ids"] == {
        "pad": END,
        "start": START,
        "first": [],
        "end": END,
        "never": [7, 9],
        "not_first": [],
    }
    assert search["max_length"] == SMALL["max_target_positions"] - 1
    for published in WHISPER.published:
        spec = DECODING.entry("greedy").spec.model_validate(found(published.config))
        assert spec == zoo.load(published.preset).generation


def test_a_checkpoint_of_the_base_model_is_the_same_model():
    transformers = pytest.importorskip("transformers")
    reference = random_reference(WHISPER, WHISPER.examples[0], seed=4)
    base = transformers.WhisperModel(reference.config)
    base.load_state_dict(reference.model.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        base.save_pretrained(folder)
        with pytest.raises(SpecError, match="'WhisperModel' cannot be represented"):
            from_hf(folder)
        _, again = from_hf(folder, architecture="WhisperForConditionalGeneration")
    tokens = torch.randint(SMALL["vocab_size"], (3, 5))
    assert torch.equal(again(spectrograms(), tokens), from_hf(reference)[1](spectrograms(), tokens))


def test_another_table_than_the_sinusoids_is_refused():
    reference = random_reference(WHISPER, SMALL, seed=6)
    reference.model.encoder.embed_positions.weight.data[4, 3] += 0.01
    with pytest.raises(DataError, match=r"'model\.encoder\.embed_positions\.weight' should be a fixed table"):
        from_hf(reference)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scale_embedding", True, "only false can"),
        ("apply_spec_augment", True, "only false can"),
        ("num_hidden_layers", 5, "beside encoder_layers; only 2 can"),
        ("activation_function", "selu", "the activation 'selu' cannot be represented"),
        ("encoder_window", 3, "unknown to the whisper mapping"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_its_field(field, value, message):
    with pytest.raises(SpecError, match=message) as caught:
        spec_of(WHISPER, {"model_type": "whisper", **SMALL, field: value})
    assert field in str(caught.value)
