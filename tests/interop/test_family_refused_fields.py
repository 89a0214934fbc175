"""A config that would silently be another model is refused, the field named; one said in several ways is read."""

import pytest

import zoo
from registry import SpecError
from zoo.interop.config import Config
from zoo.interop.family import family_named
from zoo.interop.matching import spec_of
from zoo.interop.writing import search_of
from zoo.kinds import DECODING


def read(family, **config):
    return spec_of(family_named(family), {"model_type": family, **config})


@pytest.mark.parametrize(
    ("family", "config", "problem"),
    [
        (
            "opt",
            {"activation_dropout": 0.1},
            r"activation_dropout: 0\.1 cannot be represented; only 0\.0 can",
        ),
        (
            "opt",
            {"activation_function": "laplace"},
            r"activation_function: the activation 'laplace' cannot be",
        ),
        ("opt", {"sliding_window": 4}, r"sliding_window: unknown to the opt mapping"),
        (
            "opt",
            {"architectures": ["OPTForSequenceClassification"], "word_embed_proj_dim": 7},
            r"word_embed_proj_dim: a classifier of vectors of this width",
        ),
        (
            "opt",
            {"architectures": ["OPTForQuestionAnswering"]},
            r"architectures: 'OPTForQuestionAnswering' cannot be",
        ),
        (
            "bloom",
            {"n_inner": 100},
            r"n_inner: 100 cannot be represented with this hidden_size; only null or 256 can",
        ),
        ("bloom", {"layer_norm_epsilon": "1e-5"}, r"layer_norm_epsilon: must be a number"),
        ("gpt_neox", {"rope_theta": 500.0}, r"rope_theta: 500\.0 cannot be represented; only 10000\.0 can"),
        ("gpt_neox", {"is_decoder": True}, r"is_decoder: true cannot be represented"),
        (
            "gpt_neox",
            {"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e4}},
            r"rope_parameters\.rope_type: 'proportional' cannot be represented",
        ),
        ("t5", {"feed_forward_proj": "double-gelu"}, r"feed_forward_proj: must be an activation or gated-"),
        ("t5", {"feed_forward_proj": "gated-laplace"}, r"feed_forward_proj: the activation 'laplace' cannot"),
        ("t5", {"is_decoder": True}, r"is_decoder: true cannot be represented"),
        ("bart", {"normalize_before": True}, r"normalize_before: true cannot be represented; only false can"),
        ("bart", {"normalize_embedding": False}, r"normalize_embedding: false cannot be represented"),
        ("bart", {"static_position_embeddings": True}, r"static_position_embeddings: true cannot be"),
        ("bart", {"tie_word_embeddings": False}, r"tie_word_embeddings: false cannot be represented"),
        (
            "bart",
            {"encoder_layers": 3, "num_hidden_layers": 6},
            r"num_hidden_layers: 6 cannot .* beside encoder_layers",
        ),
        ("marian", {"normalize_embedding": True}, r"normalize_embedding: true cannot be represented"),
        ("marian", {"static_position_embeddings": False}, r"static_position_embeddings: false cannot be"),
        (
            "marian",
            {"decoder_vocab_size": 7},
            r"decoder_vocab_size: 7 .* with share_encoder_decoder_embeddings",
        ),
        ("marian", {"tie_word_embeddings": False}, r"tie_word_embeddings: false unties all embeddings"),
        (
            "marian",
            {"d_model": 15, "encoder_attention_heads": 3, "decoder_attention_heads": 3},
            r"d_model \(15\) must be even",
        ),
    ],
)
def test_what_a_spec_cannot_say_is_refused_by_its_field(family, config, problem):
    with pytest.raises(SpecError, match=problem):
        read(family, **config)


def test_every_way_to_say_gpt_neox_rotary_positions_is_one():
    old = read("gpt_neox", rotary_pct=0.5, rotary_emb_base=50)
    new = read(
        "gpt_neox", rope_parameters={"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5}
    )
    mixed = read("gpt_neox", rotary_pct=0.5, rope_parameters={"rope_theta": 50.0})
    assert old.position == new.position == mixed.position
    assert (old.position.base, old.position.fraction) == (50.0, 0.5)
    scaled = read("gpt_neox", rotary_emb_base=50, rope_scaling={"type": "linear", "factor": 2.0})
    assert scaled.position.scaling.factor == 2.0
    assert (scaled.position.base, scaled.position.fraction) == (50.0, 0.25)


def test_blooms_width_has_two_names():
    assert (
        read("bloom", n_embed=40, num_attention_heads=5).d_model
        == read("bloom", hidden_size=40, n_head=5).d_model
        == 40
    )


@pytest.mark.parametrize("name", ["gpt2", "opt", "bloom", "gpt_neox", "bart", "marian"])
def test_a_preset_is_searched_as_its_published_config_says(name):
    family = family_named(name)
    for published in family.published:
        model = spec_of(family, {"model_type": name, **published.config})
        said, _ = search_of(family.writing, Config(published.config), None, model)
        assert DECODING.entry(said["type"]).spec.model_validate(said) == zoo.load(published.preset).generation


def test_t5s_presets_have_the_published_ids_and_the_search_of_the_paper():
    """Their configurations say no search, so that an imported one is searched greedily, as in transformers."""
    family = family_named("t5")
    for published in family.published:
        model = spec_of(family, {"model_type": "t5", **published.config})
        said, _ = search_of(family.writing, Config(published.config), None, model)
        greedy, preset = (
            DECODING.entry(said["type"]).spec.model_validate(said),
            zoo.load(published.preset).generation,
        )
        assert (greedy.type, preset.type, preset.beam_size) == ("greedy", "beam", 4)
        assert (greedy.ids, greedy.max_length) == (preset.ids, preset.max_length)
