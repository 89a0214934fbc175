"""Searches over real models: with and without a cache, in batches and alone, against full forward passes."""

import pytest
import torch

import zoo
from registry import SpecError, parse
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.errors import DivergedError
from zoo.generation.max_length import LengthLimit
from zoo.generation.search import Translation, n_positions
from zoo.generation.strategies.beam import BeamSpec
from zoo.generation.strategies.greedy import GreedySpec
from zoo.kinds import DECODING, MODEL
from zoo.special_ids import BOS, EOS, PAD, SpecialIds

V = 23
LAYER = {
    "self_attention": {"type": "multi_head", "n_heads": 3, "n_kv_heads": 1},
    "ffn": {"type": "mlp", "d_ff": 20},
}


def model(*, layout="post_norm", position="sinusoidal", seed=1):
    torch.manual_seed(seed)
    spec = {
        "type": "encoder_decoder",
        "d_model": 12,
        "source": {"type": "tokens", "vocab_size": V},
        "target": {"share": "source"},
        "position": position,
        "encoder": {"n_layers": 1, "layer": {"layout": layout, **LAYER}},
        "decoder": {
            "like": "encoder",
            "n_layers": 2,
            "cross_attention": {"type": "multi_head", "n_heads": 2},
        },
        "head": {"type": "language_model", "predicts": "target", "tied": False, "bias": True},
    }
    return sharpened(MODEL.build(parse(EncoderDecoderSpec, spec)))


def language_model(*, position="rotary", bias=False):
    torch.manual_seed(2)
    spec = {
        "type": "decoder_only",
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": V},
        "position": position,
        "decoder": {
            "n_layers": 2,
            "layer": {**LAYER, "layout": "pre_norm", "self_attention": {"type": "multi_head", "n_heads": 3}},
        },
        "head": {"type": "language_model", "predicts": "tokens", "tied": False, "bias": bias},
    }
    return sharpened(MODEL.build(parse(DecoderOnlySpec, spec)))


def sharpened(built):
    """Random weights large enough that sentences differ in their outputs, in float64 so that none tie."""
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return built.double().eval()


def sources(lengths):
    torch.manual_seed(3)
    source = torch.full((len(lengths), max(lengths)), PAD)
    for row, length in zip(source, lengths, strict=True):
        row[:length] = torch.randint(4, V, (length,))
        row[length - 1] = EOS
    return source, source != PAD


class Uncached:
    """The same search with every prefix run through the decoder anew, memory copied for each row."""

    def __init__(self, model, source, source_mask):
        self.model, self.mask = model, source_mask
        self.memory = model.encode(source, source_mask=source_mask)
        self.prefixes = torch.full((source.shape[0], 1), BOS)
        self.lengths = Translation(model, source, source_mask, SpecialIds()).lengths
        self.room = None

    def start(self):
        n = self.prefixes.shape[0] // self.memory.shape[0]
        memory, mask = self.memory.repeat_interleave(n, 0), self.mask.repeat_interleave(n, 0)
        return self.model.head(self.model.decode(self.prefixes, memory, source_mask=mask))[:, -1]

    def step(self, tokens):
        self.prefixes = torch.cat([self.prefixes, tokens[:, None]], 1)
        return self.start()

    def reorder(self, rows):
        self.prefixes = self.prefixes[rows]

    def select(self, sentences):
        self.memory, self.mask = self.memory[sentences], self.mask[sentences]


STRATEGIES = {
    "greedy": DECODING.build(GreedySpec(max_length="source + 3")),
    "beam": DECODING.build(BeamSpec(beam_size=3, n_best=3, max_length="source + 3")),
}


def equal(found, expected):
    assert [[h.tokens for h in hypotheses] for hypotheses in found] == [
        [h.tokens for h in hypotheses] for hypotheses in expected
    ]
    torch.testing.assert_close(
        [[h.score for h in hypotheses] for hypotheses in found],
        [[h.score for h in hypotheses] for hypotheses in expected],
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("layout", "position"), [("post_norm", "sinusoidal"), ("pre_norm", "rotary")])
def test_cached_equals_uncached(strategy, layout, position):
    built, search = model(layout=layout, position=position), STRATEGIES[strategy]
    source, mask = sources([7, 3, 5, 2])
    equal(search(built, source, mask), search.search(Uncached(built, source, mask)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batched_equals_one_by_one(strategy):
    built, search = model(), STRATEGIES[strategy]
    source, mask = sources([7, 3, 5, 2])
    batched = search(built, source, mask)
    for i, length in enumerate([7, 3, 5, 2]):
        equal([batched[i]], search(built, source[i : i + 1, :length]))
    assert len({tuple(hypotheses[0].tokens) for hypotheses in batched}) > 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_scores_equal_rescoring_by_the_full_forward(strategy):
    built, search = model(), STRATEGIES[strategy]
    source, mask = sources([6, 4, 9])
    for i, hypotheses in enumerate(search(built, source, mask)):
        for hypothesis in hypotheses:
            target, labels = torch.tensor([[BOS, *hypothesis.tokens]]), [*hypothesis.tokens, EOS]
            log_probs = built(source[i : i + 1], target, source_mask=mask[i : i + 1]).log_softmax(-1)[0]
            total = sum(log_probs[t, label].item() for t, label in enumerate(labels))
            assert hypothesis.log_probability == pytest.approx(total, rel=1e-9)
            divisor = ((5 + len(labels)) / 6) ** 0.6 if strategy == "beam" else 1.0
            assert hypothesis.score == pytest.approx(total / divisor, rel=1e-9)


def test_memory_is_held_once_per_sentence_whatever_the_beam():
    built = model()
    batch = Translation(built, *sources([5, 3]), SpecialIds())
    with torch.no_grad():
        batch.start()
        batch.reorder(torch.tensor([0, 0, 0, 1, 1, 1]))
        batch.step(torch.tensor([4, 5, 6, 7, 8, 9]))
    layer = batch.cache.layers[1]
    assert layer.own._keys.shape[0] == 6
    assert layer.cross_attention.keys.shape[0] == 2


def test_a_length_counts_neither_padding_nor_the_end_and_needs_no_mask():
    source, mask = sources([7, 3, 5])
    assert Translation(model(), source, mask, SpecialIds()).lengths == [6, 2, 4]
    assert Translation(model(), source[:1], None, SpecialIds()).lengths == [6]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_language_model_continues_prompts(strategy):
    built, search = language_model(), STRATEGIES[strategy]
    prompts = torch.tensor([[BOS, 5, 9], [BOS, 17, 4], [BOS, 8, 8]])
    found = search(built, prompts)
    for prompt, hypotheses in zip(prompts, found, strict=True):
        for hypothesis in hypotheses:
            steps = [*hypothesis.tokens, EOS]
            log_probs = built(torch.tensor([[*prompt.tolist(), *hypothesis.tokens]])).log_softmax(-1)[0, 2:]
            total = sum(log_probs[t, token].item() for t, token in enumerate(steps))
            assert hypothesis.log_probability == pytest.approx(total, rel=1e-9)
    for i in range(3):
        equal(search(built, prompts[i : i + 1]), [found[i]])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_prompt_in_a_padded_batch_goes_on_as_it_does_alone(strategy, side):
    built, search = language_model(), STRATEGIES[strategy]
    prompts = [[BOS, 5, 9, 11, 6], [BOS, 17], [BOS, 8, 8]]
    fillings = [[PAD] * (5 - len(prompt)) for prompt in prompts]
    rows = [f + p if side == "left" else p + f for p, f in zip(prompts, fillings, strict=True)]
    padded = torch.tensor(rows)
    found = search(built, padded, padded != PAD)
    for prompt, hypotheses in zip(prompts, found, strict=True):
        equal(search(built, torch.tensor([prompt])), [hypotheses])


def test_other_special_ids_begin_end_and_forbid():
    built, (given, mask) = model(), sources([5, 3, 4, 6, 7, 8])
    first = DECODING.build(GreedySpec(max_length=6, ids=SpecialIds(start=7)))(built, given, mask)
    end = first[0][0].tokens[2]  # an id that does come up
    ids = SpecialIds(pad=1, start=7, end=end, never=(9, 14))
    found = DECODING.build(GreedySpec(max_length=6, ids=ids))(built, given, mask)
    equal(
        DECODING.build(BeamSpec(beam_size=1, length_penalty="none", max_length=6, ids=ids))(
            built, given, mask
        ),
        found,
    )
    texts = []
    for i in range(len(given)):
        text = []
        while len(text) < 6 and end not in text:
            logits = built(given[i : i + 1], torch.tensor([[7, *text]]), source_mask=mask[i : i + 1])[0, -1]
            logits[[9, 14]] = float("-inf")
            text.append(int(logits.argmax()))
        texts.append([token for token in text if token != end])
    assert [hypotheses[0].tokens for hypotheses in found] == texts
    assert any(len(text) < 6 for text in texts)


POSITIONS = [
    {"type": "learned", "max_len": 9},
    {"type": "learned", "max_len": 9, "offset": 2, "counts_padding": True},
    {"type": "sinusoidal", "max_len": 9},
    {"type": "sinusoidal", "max_len": 9, "counts_padding": True},
]


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_an_output_never_exceeds_the_positions_of_the_model(strategy, position):
    """Nine positions: one for what begins the output, eight for tokens, of which 50 would be allowed."""
    search = DECODING.build(parse(DECODING.entry(strategy).spec, {"type": strategy}))
    built = model(position=position)
    torch.nn.init.constant_(built.head.bias, 0.0)
    built.head.bias.data[EOS] = -1e4  # whoever may, writes on
    source, mask = sources([9, 3, 5])
    assert [len(hypotheses[0].tokens) for hypotheses in search(built, source, mask)] == [8, 8, 8]


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_a_continuation_ends_where_the_positions_of_the_model_do(strategy, position):
    search = DECODING.build(parse(DECODING.entry(strategy).spec, {"type": strategy}))
    built = language_model(position=position, bias=True)
    built.head.bias.data[EOS] = -1e4
    prompts = torch.tensor([[BOS, 5, 9, 11], [BOS, 17, 3, PAD]])
    found = search(built, prompts, prompts != PAD)
    assert [len(hypotheses[0].tokens) for hypotheses in found] == [5, 5]
    full = torch.full((1, 9), 6)
    assert search(built, full)[0][0].tokens == []


@pytest.mark.parametrize(("position", "limit"), [*((p, 9) for p in POSITIONS), ("sinusoidal", None)], ids=str)
def test_a_stack_knows_how_many_positions_it_has(position, limit):
    assert n_positions(model(position=position).encoder) == limit


def test_a_model_in_training_is_refused():
    with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
        STRATEGIES["beam"](model().train(), *sources([3]))


def test_a_model_without_a_decoder_is_refused():
    with pytest.raises(ValueError, match="a Linear has no decoder"):
        STRATEGIES["greedy"](torch.nn.Linear(2, 3).eval(), *sources([3]))


def test_half_precision_logits_are_scored_in_float32():
    built = model().bfloat16()
    [[hypothesis]] = STRATEGIES["greedy"](built, *sources([4]))
    assert torch.tensor(hypothesis.score).bfloat16().item() != hypothesis.score


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_logits_that_are_not_finite_are_an_error(strategy):
    built = model()
    torch.nn.init.constant_(built.head.bias, torch.nan)
    with pytest.raises(DivergedError, match="logits are not finite"):
        STRATEGIES[strategy](built, *sources([3]))


FIRST = (7, 19)


def with_first(strategy, first):
    ids = SpecialIds(first=first)
    if strategy == "greedy":
        return DECODING.build(GreedySpec(max_length=6, ids=ids))
    return DECODING.build(BeamSpec(beam_size=3, n_best=3, max_length=6, ids=ids))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("position", ["rotary", "sinusoidal"])
def test_first_ids_after_a_prompt_are_a_longer_prompt(strategy, position):
    built, (prompt, mask) = language_model(position=position), sources([5, 3, 6])
    found = with_first(strategy, FIRST)(built, prompt, mask)
    assert max(len(h.tokens) for hypotheses in found for h in hypotheses) <= 6 - len(FIRST)
    for row, real, hypotheses in zip(prompt, mask, found, strict=True):
        longer = torch.cat([row[real], torch.tensor(FIRST)])[None]
        alone = with_first(strategy, ())
        alone.limit = LengthLimit(6 - len(FIRST))
        (expected,) = alone(built, longer)
        assert [h.tokens for h in hypotheses][:1] == [h.tokens for h in expected][:1]
        assert hypotheses[0].log_probability == pytest.approx(expected[0].log_probability)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_first_ids_begin_what_is_written_cost_nothing_and_count_in_its_length(strategy):
    class Begun(Uncached):
        def __init__(self, *given):
            super().__init__(*given)
            self.prefixes = torch.tensor([[BOS, *FIRST]]).expand(len(self.prefixes), -1)

    built, (source, mask) = model(), sources([7, 3, 5, 2])
    search = with_first(strategy, FIRST)
    equal(search(built, source, mask), search.search(Begun(built, source, mask)))
    best = search(built, source, mask)[0][0]
    n = len(FIRST) + len(best.tokens) + 1
    divisor = 1.0 if strategy == "greedy" else ((5 + n) / 6) ** 0.6
    assert best.score == pytest.approx(best.log_probability / divisor)


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        (
            "generation.ids.first=[5, 5000]",
            r"generation\.ids\.first\.1: 5000 is no id of a vocabulary of 2,000",
        ),
        ("generation.ids.start=2000", r"generation\.ids\.start: 2000 is no id"),
    ],
)
def test_ids_beyond_the_vocabulary_are_refused(override, fault):
    with pytest.raises(SpecError, match=fault):
        zoo.load("quickstart", override)
