from itertools import combinations

import pytest

import presets
import zoo
from zoo.analysis.architecture_drawing import architecture_drawing
from zoo.analysis.outline import can_outline, outline
from zoo.analysis.size import n_parameters, parts_of
from zoo.drawing.shapes import Arrow, Box, Words, text_width
from zoo.drawing.svg import svg

NAMES = sorted(presets.names())


def model_of(name, *overrides):
    return zoo.load(name, *overrides).model


@pytest.mark.parametrize("name", NAMES)
def test_every_part_with_weights_is_shown_once_at_its_path(name):
    model = model_of(name)
    found = outline(model, name)
    paths = [part.path for part in found.parts() if not part.path.endswith(("norm", "layout", "position"))]
    assert len(paths) == len(set(paths))
    counted = {part.path.removeprefix("model.") for part in parts_of(model) if part.n_parameters}
    inner = ("norm", "layout", "position", "types")
    assert {
        path for path in counted if path.rpartition(".")[2] not in inner and path in dict_paths(model)
    } <= set(paths)
    assert found.n_parameters == n_parameters(model)


def dict_paths(model):
    """The paths of the parts that a model's own spec and its layers name, not of those within parts."""
    found = set(model.slots) | {"head"}
    for stack in ("encoder", "decoder"):
        for path, layer in getattr(model, stack).forms(stack) if getattr(model, stack, None) else ():
            found |= {f"{path}.{name}" for name, _ in layer.sublayers}
    return found


PASSED = [
    ("gemma2_2b", "model.decoder.passes=3"),
    ("transformer_base", "model.encoder.passes=120", "model.decoder.passes=2"),
]


@pytest.mark.parametrize("words", [*((name,) for name in NAMES), *PASSED], ids=" ".join)
def test_every_preset_is_drawn_without_boxes_or_words_over_each_other(words):
    drawing = architecture_drawing([outline(model_of(*words), words[0])])
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    for box in boxes:
        (x, y), (right, bottom) = box.at, (box.at[0] + box.width, box.at[1] + box.height)
        assert 0 <= x < right <= drawing.width
        assert 0 <= y < bottom <= drawing.height
    for one, other in combinations([box for box in boxes if box.variant is not None], 2):
        assert apart(one, other)
    words = [shape for shape in drawing.shapes if isinstance(shape, Words)]
    for each in words:
        assert left_of(each) >= 0
        assert left_of(each) + width_of(each) <= drawing.width
        assert not [box for box in boxes if crosses_edge(each, box)]
    for one, other in combinations(words, 2):
        assert abs(one.at[1] - other.at[1]) >= 11 or not crossing(one, other)
    assert svg(drawing, is_file=True).count("<rect") == len(boxes) + 1


def apart(one, other):
    (x, y), (u, v) = one.at, other.at
    return x + one.width <= u or u + other.width <= x or y + one.height <= v or v + other.height <= y


def crosses_edge(words, box):
    """Whether words stand on the left or right edge of a box."""
    left, right = left_of(words), left_of(words) + width_of(words)
    at_its_height = box.at[1] < words.at[1] < box.at[1] + box.height
    return at_its_height and any(left < edge < right for edge in (box.at[0], box.at[0] + box.width))


def width_of(words):
    return text_width(words.text, is_bold=words.style == "name") * (11 / 12 if words.style == "tick" else 1)


def left_of(words):
    return words.at[0] - {"start": 0, "middle": 0.5, "end": 1}[words.anchor] * width_of(words)


def crossing(one, other):
    return left_of(one) < left_of(other) + width_of(other) and left_of(other) < left_of(one) + width_of(one)


def test_the_papers_figure_1():
    found = outline(model_of("transformer_base"), "base")
    encoder, decoder = found.stacks
    assert [each.name for each in found.stacks] == ["encoder", "decoder"]
    assert encoder.embedding.details == ("vocab_size 37,000",)
    assert decoder.embedding.details == ("vocab_size 37,000", "shared with source")
    (group,) = decoder.groups
    assert group.repeat == 6
    (form,) = group.forms
    assert form.wiring == ("fork", "sublayer", "add", "norm")
    assert [(part.name, part.role, part.details[0]) for part, _ in form.sublayers] == [
        ("multi_head", "mixing", "causal self-attention"),
        ("multi_head", "memory", "cross-attention"),
        ("mlp", "ffn", "d_ff 2,048"),
    ]
    assert encoder.last_norm is None
    assert encoder.position.name == "sinusoidal"
    (arrow,) = [  # from the encoder's end to the cross-attention
        shape
        for shape in architecture_drawing([found]).shapes
        if isinstance(shape, Arrow) and len(shape.points) == 5
    ]
    assert arrow.points[0][0] < arrow.points[-1][0]


def test_layers_that_differ_are_drawn_each():
    (stack,) = outline(model_of("gemma2_2b"), "gemma").stacks
    (group,) = stack.groups
    assert (group.repeat, [form.sublayers[0][0].name for form in group.forms]) == (
        13,
        ["restricted", "multi_head"],
    )
    assert "rotary positions" in group.forms[0].sublayers[0][0].details
    assert stack.position is None  # nothing is added to the embeddings


@pytest.mark.parametrize(
    ("override", "marked"),
    [
        ("model.decoder.layer.ffn.d_ff=96", {"decoder.layer.ffn"}),
        ("model.decoder.layer.ffn=glu", {"decoder.layer.ffn"}),
        ("model.decoder.layer.layout=post_norm", {"decoder.layer.layout"}),
        ("model.decoder.layer.norm=rms_norm", {"decoder.layer.norm", "decoder.final_norm"}),
        ("model.position=rotary", {"decoder.layer.self_attention"}),
        ("model.position=sinusoidal", {"position"}),
        ("model.d_model=64", {"d_model"}),
        ("model.decoder.n_layers=2", {"n_layers"}),
        ("model.decoder.passes=2", {"passes"}),
    ],
)
def test_what_differs_is_marked(override, marked):
    before, after = model_of("char_gpt"), model_of("char_gpt", override)
    found = outline(after, "after", other=before)
    paths = {part.path for part in found.parts() if part.is_marked}
    paths |= {"d_model"} if found.is_marked else set()
    paths |= {"n_layers"} if found.stacks[0].is_marked else set()
    paths |= {"passes"} if found.stacks[0].are_passes_marked else set()
    assert paths == marked
    assert not [part for part in outline(after, "same", other=after).parts() if part.is_marked]


def test_what_is_in_a_part_of_a_part_is_said():
    (stack,) = outline(model_of("mixtral_8x7b"), "mixtral").stacks
    experts = stack.groups[0].forms[0].sublayers[1][0]
    assert experts.details[:4] == ("n_experts 8", "top_k 2", "expert glu", "expert.d_ff 14,336")
    (stack,) = outline(model_of("gemma2_2b"), "gemma").stacks
    assert "soft_cap 50" in stack.groups[0].forms[1].sublayers[0][0].details


def test_a_layout_that_differs_is_a_broad_frame():
    before, after = model_of("char_gpt"), model_of("char_gpt", "model.decoder.layer.layout=sandwich")
    frames = [
        shape.is_marked
        for shape in architecture_drawing([outline(after, "after", other=before)]).shapes
        if isinstance(shape, Box) and shape.variant is None
    ]
    assert frames == [True]


def test_what_differs_in_no_part_is_named():
    before, after = model_of("char_gpt"), model_of("char_gpt", "model.decoder.layer.dropout=0.5")
    found = outline(after, "after", other=before)
    assert found.undrawn == ("decoder.layer.dropout", "decoder.input_dropout")
    said = [shape.text for shape in architecture_drawing([found]).shapes if isinstance(shape, Words)]
    assert any(text.startswith("not drawn, but different: decoder") for text in said)
    assert outline(after, "same", other=after).undrawn == ()


def test_an_attention_that_says_nothing_of_positions_is_not_said_to_read_any(monkeypatch):
    model = model_of("char_gpt", "model.position=rotary")
    attention = type(model.decoder.layer.self_attention)
    assert "rotary positions" in outline(model, "before").stacks[0].groups[0].forms[0].sublayers[0][0].details
    monkeypatch.setattr(attention, "reads", None)
    assert (
        "rotary positions" not in outline(model, "after").stacks[0].groups[0].forms[0].sublayers[0][0].details
    )


def test_positions_that_an_attention_reads_by_a_method_of_their_own_are_said_of_it():
    (stack,) = outline(model_of("deberta_v3_base"), "deberta").stacks
    assert "relative_embeddings positions" in stack.groups[0].forms[0].sublayers[0][0].details


def test_layers_said_in_another_form_are_all_marked():
    (stack,) = outline(model_of("gemma2_2b"), "after", other=model_of("gemma_2b")).stacks
    (group,) = stack.groups
    assert all(part.is_marked and norm.is_marked for form in group.forms for part, norm in form.sublayers)


def test_a_model_that_is_neither_is_not_outlined():
    model = model_of("char_gpt")
    assert can_outline(model)
    assert not can_outline(model.decoder)


def test_titles_of_drawings_side_by_side_stand_at_one_height():
    models = [model_of("char_gpt"), model_of("char_gpt", "model.decoder.layer.layout=sandwich")]
    found = [
        outline(model, title, other=models[0]) for model, title in zip(models, ("one", "two"), strict=True)
    ]
    heights = {
        shape.text: shape.at[1]
        for shape in architecture_drawing(found).shapes
        if isinstance(shape, Words) and shape.text in ("one", "two")
    }
    assert heights["one"] == heights["two"]
