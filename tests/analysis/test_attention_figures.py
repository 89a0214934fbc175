"""Pictures of attention maps: what is drawn is what the weights are, and can be read."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from registry import SpecError
from tests.analysis.attention_examples import HOSTILE, READ, SOURCE, WRITTEN, example, shown
from tests.pages import BROWSER_MARKS, ask_browser, read
from zoo.analysis import attention_files
from zoo.analysis.attention_figures import heat_map, line_drawing, sheet
from zoo.analysis.attention_files import write_maps
from zoo.analysis.attention_page import page
from zoo.cli.attention_text import head_text
from zoo.drawing.pixels import can_draw
from zoo.drawing.shapes import N_SHADES, Cells, Drawing, Link, Words, shade, text_width
from zoo.drawing.shapes import Path as Line
from zoo.drawing.svg import svg

SAFE = HOSTILE.replace("\u202e", "\N{REPLACEMENT CHARACTER}")


def of(drawing: Drawing, kind: type) -> list:
    return [each for each in drawing.shapes if isinstance(each, kind)]


def inside(drawing: Drawing) -> None:
    for each in drawing.shapes:
        points = each.points if isinstance(each, Line | Link) else (each.at,)
        if isinstance(each, Cells):
            points = (each.at, (each.at[0] + each.width, each.at[1] + each.height))
        if isinstance(each, Words):
            ends = {"start": (0.0, 1.0), "middle": (-0.5, 0.5), "end": (-1.0, 0.0)}[each.anchor]
            size = text_width(each.text, 11.0)
            shifts = [(0.0, -end * size) if each.is_upright else (end * size, 0.0) for end in ends]
            points = tuple((each.at[0] + x, each.at[1] + y) for x, y in shifts)
        for x, y in points:
            assert -1 <= x <= drawing.width + 1, each
            assert -1 <= y <= drawing.height + 1, each


def test_a_heat_map_has_a_row_a_query_and_a_column_a_key() -> None:
    cross = example().maps[3]
    drawing = heat_map(cross, cross.weights[0], title="head 0", variant=0)
    (cells,) = of(drawing, Cells)
    assert cells.rows == tuple(map(tuple, cross.weights[0].tolist()))
    places = {each.place: each for each in of(drawing, Words) if each.place}
    assert [places[f"q{i}"].text for i in range(3)] == list(WRITTEN)
    assert [places[f"k{j}"].text for j in range(5)] == list(SOURCE)
    for i in range(3):
        assert places[f"q{i}"].at[1] == cells.at[1] + (i + 0.5) * cells.size
    for j in range(5):
        assert places[f"k{j}"].at[0] == cells.at[0] + (j + 0.5) * cells.size
    inside(drawing)


def test_the_decoder_s_own_map_is_named_by_what_is_read() -> None:
    own = example().maps[2]
    drawing = heat_map(own, own.weights[0], title="head 0", variant=0)
    texts = [each.text for each in of(drawing, Words) if each.place.startswith("q")]
    assert texts == list(READ)


def test_a_line_goes_from_each_query_to_each_key_that_has_weight() -> None:
    found = shown("encoder.layers.0.self_attention", "multi_head", (1, 3), 5)
    drawing = line_drawing(found)
    places = {each.place: each.at for each in of(drawing, Words)}
    links = of(drawing, Link)
    expected = {
        (f"q{i}", f"k{j}", head): float(found.weights[place, i, j])
        for place, head in enumerate((1, 3))
        for i in range(5)
        for j in range(5)
        if found.weights[place, i, j] >= 0.02
    }
    assert {(*each.places, each.variant): each.weight for each in links} == expected
    assert 10 < len(links) < 50
    for each in links:
        (x, y), (x2, y2) = each.points
        assert abs(x - places[each.places[0]][0]) < 3
        assert abs(x2 - places[each.places[1]][0]) < 3
        assert y > y2  # queries below
    inside(drawing)


def test_shades_grow_with_the_weight_and_tell_small_ones_from_none() -> None:
    steps = [shade(i / 100) for i in range(101)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, N_SHADES)
    assert shade(0.02) > 0
    assert (shade(-1.0), shade(2.0)) == (0, N_SHADES)


def test_cells_are_written_as_squares_where_they_stand() -> None:
    drawing = Drawing(50, 50, "cells")
    drawing.shapes.append(Cells((10, 20), 5, ((0.0, 1.0), (0.5, 0.0))))
    text = svg(drawing, is_file=True)
    paths = re.findall(r'<path d="([^"]*)" fill-opacity="([^"]*)"', text)
    assert paths == [
        ("M10 25h5v5h-5z", f"{shade(0.5) / N_SHADES:g}"),
        ("M15 20h5v5h-5z", "1"),
    ]


def test_a_sheet_has_every_head_of_every_map() -> None:
    found = example()
    drawing = sheet(found)
    cells = of(drawing, Cells)[:-1]  # the last is the scale
    assert [each.rows for each in cells] == [
        tuple(map(tuple, weights.tolist())) for each in found.by_kind for weights in each.weights
    ]
    titles = [each.text for each in of(drawing, Words) if each.style == "name"]
    assert titles[:4] == [
        "Encoder to itself, layer 0 (multi_head)",
        "Encoder to itself, layer 1 (multi_head)",
        "Decoder to itself, layer 0 (restricted)",
        "Decoder to source, layer 0 (additive)",
    ]
    inside(drawing)
    ElementTree.fromstring(svg(drawing, is_file=True))


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    text = page(example())
    found = read(text)
    assert [each.attributes["id"] for each in found.all("section")] == [
        "encoder-to-itself",
        "decoder-to-itself",
        "decoder-to-source",
    ]
    layers = found.all("div", "layer")
    assert len(layers) == 4
    assert [len(each.all("div", "heat")) for each in layers] == [3, 3, 3, 1]
    for element in found.all(""):
        for name in ("src", "srcset", "action", "data", "poster"):
            assert name not in element.attributes, element
        if "href" in element.attributes:
            assert (element.attributes["href"] or "").startswith("#")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "Content-Security-Policy" in text
    assert HOSTILE not in text
    assert SAFE in (found.all("header")[0].text)
    assert (
        "Left out, for they attend by no softmax: lstm (encoder.layers.2.mixer)."
        in found.all("header")[0].text
    )
    assert "1 of 4 parts compute with these very weights" in found.all("header")[0].text


def test_the_page_holds_the_weights_that_it_tells() -> None:
    found = example()
    for layer, each in zip(read(page(found)).all("div", "layer"), found.by_kind, strict=True):
        about = json.loads(layer.attributes["data-about"] or "")
        data = np.frombuffer(base64.b64decode(layer.attributes["data-weights"] or ""), np.uint8)
        assert about["heads"] == list(each.heads)
        assert (len(about["queries"]), len(about["keys"])) == each.weights.shape[1:]
        assert np.abs(data.reshape(each.weights.shape) / 255 - each.weights).max() <= 0.5 / 255 + 1e-6


def test_what_is_wrong_stands_at_the_head_of_the_page() -> None:
    maps = (shown("encoder.layers.0.self_attention", "multi_head", (0,), 1, difference=0.5),)
    (wrong,) = read(page(example(maps=maps))).all("p", "wrong")
    assert wrong.text == (
        "NOT what the model's own kernels gave: the outputs of encoder.layers.0.self_attention (by 5.0e-01) differ "
        "from those of these weights"
    )
    assert read(page(example())).all("p", "wrong") == []


def test_a_target_that_the_tokenizer_alters_is_told_as_it_was_read() -> None:
    same, other = example(target=" das Haus"), example(target="Das Haus")
    told = "Of the target 'Das Haus' the model's tokenizer makes 'das Haus', which was read."
    assert (same.altered, other.altered, example().altered) == ("", told, "")
    assert other.outcome.endswith(" → das Haus (given)")
    for found, is_told in ((same, False), (other, True)):
        assert (told in read(page(found)).text) == (told in head_text(found, outcome="")) == is_told


def test_files_are_written_by_their_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = example()
    for name in ("a.html", "a.svg", "a.npz"):
        write_maps(found, tmp_path / name)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page(found)
    ElementTree.parse(tmp_path / "a.svg")
    assert sorted(np.load(tmp_path / "a.npz"))[0] == "about"
    monkeypatch.setattr(attention_files, "MAX_WEIGHTS", 100)
    with pytest.raises(
        SpecError, match=r"a\.svg: 133 weights are too many for a picture \(100\): choose some by"
    ):
        write_maps(found, tmp_path / "a.svg")
    write_maps(found, tmp_path / "b.npz")


@pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed")
def test_pixels_show_what_weighs(tmp_path: Path) -> None:
    from PIL import Image

    weights = np.zeros((1, 5, 5), np.float32)
    weights[0, 1, 3] = 1.0
    found = shown("encoder.layers.0.self_attention", "multi_head", (0,), 1)
    from dataclasses import replace

    drawing = heat_map(replace(found, weights=weights), weights[0], title="head 0", variant=1)
    from zoo.drawing.pixels import png

    (tmp_path / "a.png").write_bytes(png(drawing))
    image = Image.open(tmp_path / "a.png").convert("RGB")
    (cells,) = of(drawing, Cells)
    scale = image.width / drawing.width
    for i in range(5):
        for j in range(5):
            at = [int((cells.at[axis] + (k + 0.5) * cells.size) * scale) for axis, k in ((0, j), (1, i))]
            assert image.getpixel((at[0], at[1])) == ((0, 114, 178) if (i, j) == (1, 3) else (255, 255, 255))
    (tmp_path / "b.png").write_bytes(png(sheet(example())))
    (tmp_path / "c.png").write_bytes(png(line_drawing(found)))


class TestBrowser:
    """The page in a real browser."""

    pytestmark = BROWSER_MARKS

    def test_a_layer_is_chosen_and_heads_are_hidden(self, tmp_path: Path) -> None:
        found = ask_browser(
            page(example()),
            """
            const box = document.querySelector('#encoder-to-itself .choosable');
            const shown = () => [...box.querySelectorAll('figure')].filter((f) => !f.hidden).map((f) => f.dataset.is);
            const heats = () => [...box.querySelectorAll('figure:not([hidden]) .heat')].filter((h) => !h.hidden).length;
            const seen = [shown(), heats()];
            box.querySelectorAll('.choice button')[1].click();
            seen.push(shown());
            box.querySelectorAll('.legend button')[1].click();
            seen.push(heats());
            const group = box.querySelector('figure:not([hidden]) .lines g[data-v="2"]');
            seen.push(getComputedStyle(group).display);
            return seen;
            """,
            tmp_path,
        )
        assert found == [
            ["encoder.layers.0.self_attention"], 3, ["encoder.layers.1.self_attention"], 2, "none",
        ]  # fmt: skip

    def test_pointing_at_a_word_shows_its_lines_and_tells_its_weights(self, tmp_path: Path) -> None:
        found = example()
        told, near, far = ask_browser(
            page(found),
            """
            const svg = document.querySelector('#decoder-to-source .lines svg');
            const word = svg.querySelector('[data-place=q1]');
            const frame = svg.getBoundingClientRect();
            svg.dispatchEvent(new PointerEvent('pointermove', {
              clientX: frame.left + Number(word.getAttribute('x')), clientY: frame.bottom - 20}));
            const links = [...svg.querySelectorAll('.link')];
            const near = links.filter((l) => l.classList.contains('near')).map((l) => [l.dataset.a, l.dataset.b]);
            const far = links.find((l) => !l.classList.contains('near'));
            return [document.getElementById('told').textContent, near, getComputedStyle(far).strokeOpacity];
            """,
            tmp_path,
        )
        row = found.maps[3].weights[0, 1]
        assert {a for a, _ in near} == {"q1"}
        assert {b for _, b in near} == {f"k{j}" for j in range(5) if row[j] >= 0.02}
        assert float(far) < 0.1
        best = int(row.argmax())
        name = SAFE if SOURCE[best] == HOSTILE else SOURCE[best]
        assert told.startswith(f"Haus → {name} {round(round(float(row[best]) * 255) / 255 * 100)} %")

    def test_pointing_at_a_cell_tells_its_weight(self, tmp_path: Path) -> None:
        told = ask_browser(
            page(example()),
            """
            const heat = document.querySelectorAll('#encoder-to-itself .heat')[2];
            const [left, top, cell] = heat.dataset.cells.split(' ').map(Number);
            const svg = heat.querySelector('svg');
            const frame = svg.getBoundingClientRect();
            svg.dispatchEvent(new PointerEvent('pointermove', {
              clientX: frame.left + left + 3.5 * cell, clientY: frame.top + top + 1.5 * cell}));
            return document.getElementById('told').textContent;
            """,
            tmp_path,
        )
        weight = float(example().maps[0].weights[1, 1, 3])
        assert told == f"old → house: {round(round(weight * 255) / 255 * 100)} %"

    @pytest.mark.parametrize("width", [390, 1280])
    def test_heat_maps_stand_beside_the_lines_where_there_is_room(self, tmp_path: Path, width: int) -> None:
        lines, heats = ask_browser(
            page(example()),
            """
            const layer = document.querySelector('figure:not([hidden]) .layer');
            return ['.lines', '.heat'].map((name) => {
              const at = layer.querySelector(name).getBoundingClientRect();
              return [at.left, at.right, at.top, at.bottom];
            });
            """,
            tmp_path,
            width=width,
        )
        is_beside = heats[0] >= lines[1] and heats[2] < lines[3]
        is_below = heats[2] >= lines[3]
        assert (is_beside, is_below) == (width == 1280, width == 390)

    @pytest.mark.parametrize("width", [390, 1280])
    def test_the_page_is_no_wider_than_its_window_and_words_do_not_overlap(
        self, tmp_path: Path, width: int
    ) -> None:
        too_wide, overlaps = ask_browser(
            page(example()),
            """
            const found = [];
            for (const figure of document.querySelectorAll('figure')) figure.hidden = false;
            for (const svg of document.querySelectorAll('figure svg')) {
              const texts = [...svg.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
              texts.forEach(([s, a], i) => texts.slice(0, i).forEach(([t, b]) => {
                const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (across > 2 && down > 4) found.push([s, t]);
              }));
            }
            return [document.documentElement.scrollWidth - innerWidth, found];
            """,
            tmp_path,
            width=width,
        )
        assert too_wide <= 0
        assert overlaps == []
