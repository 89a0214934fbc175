import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import presets
from tests.our_kinds import our_kinds, our_parts
from zoo.interop.certify import GRADIENT_BAR, LOGITS_BAR
from zoo.interop.family import families, family_named, family_names

ROOT = Path(__file__).parents[2]
SITE = ROOT / "examples" / "site"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def _module(name):
    spec = importlib.util.spec_from_file_location(f"{name}_of_the_site", SITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def texts():
    return _module("texts")


@pytest.fixture
def certificates():
    return _module("certificates")


@pytest.fixture
def picture(monkeypatch):
    monkeypatch.syspath_prepend(str(SITE))  # a script's modules find each other beside it
    draw = _module("part_pictures").picture

    def picture_of(component, folder):
        kind, _, name = component.partition("/")
        return draw(our_kinds()[kind], name, folder)

    return picture_of


@pytest.mark.parametrize("page", sorted((SITE / "pages").glob("*.md")), ids=lambda page: page.name)
def test_every_link_into_the_code_leads_to_what_it_names(page, texts):
    text = texts.with_code_links(page.read_text(encoding="utf-8"), page.name)
    assert "repo:" not in text


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("repo:zoo/kernels/earger.py", "no file zoo/kernels/earger.py"),
        ("repo:zoo/kernels/eager.py#attend", "defines no attend"),
    ],
)
def test_a_link_to_what_is_not_there_is_refused_with_its_page(link, said, texts):
    with pytest.raises(texts.BrokenLinkError, match=f"paper.md: .*{said}"):
        texts.with_code_links(f"[eager]({link})", "paper.md")


def test_a_link_leads_to_the_line_that_defines_a_name(texts):
    line = texts.line_of("zoo/kernels/eager.py", "masked_softmax", "paper.md")
    assert (
        (ROOT / "zoo/kernels/eager.py").read_text().splitlines()[line - 1].startswith("def masked_softmax(")
    )


def test_a_docstring_keeps_its_letters_and_its_labels(texts):
    doc = "|i - j| <= r of `d_k`\nand on.\n\nSource: A_1,\n    page 2.\nShapes: [B, T]"
    assert texts.prose(doc) == (
        "\\|i - j\\| &lt;= r of `d_k` and on.\n\n**Source**: A\\_1, page 2.\n\n**Shapes**: \\[B, T\\]"
    )


def test_a_section_ends_where_the_next_begins(texts, tmp_path):
    file = tmp_path / "README.md"
    file.write_text("# A\n\n## B\n\nb\n\n```\n## code\n```\n### C\n\nc\n\n## D\n\nd\n")
    assert texts.section(file, "B") == "b\n\n```\n## code\n```\n### C\n\nc"
    with pytest.raises(texts.BrokenLinkError, match=r"README\.md has no section 'E'"):
        texts.section(file, "E")


def test_a_family_without_a_record_or_with_other_configs_names_the_command(
    certificates, tmp_path, monkeypatch
):
    record = certificates.record_of(family_named("fnet"))
    monkeypatch.setattr(certificates, "FILE", tmp_path / "certificates.jsonl")
    with pytest.raises(certificates.NoRecordError, match=r"no record of fnet; .*certificates\.py fnet$"):
        certificates.record_of(family_named("fnet"))
    certificates.FILE.write_text(json.dumps({**record, "n_configs": record["n_configs"] + 1}))
    with pytest.raises(certificates.NoRecordError, match=r"other configs of fnet; .*certificates\.py fnet$"):
        certificates.record_of(family_named("fnet"))


def test_a_family_that_is_not_there_is_refused_before_anything_is_certified(certificates, capsys):
    assert certificates.main(["fnet", "gtp2"]) == 2
    assert "did you mean 'gpt2'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", family_names())
def test_every_family_has_a_record_within_the_bars_of_its_certificate(name, certificates):
    family = family_named(name)
    record = certificates.record_of(family)
    assert record["logits_error"] <= LOGITS_BAR
    assert record["gradient_error"] <= GRADIENT_BAR
    assert record["n_seeds"] == 3
    assert record["n_batches"] == record["n_configs"] * record["n_seeds"] * len(family.paddings)
    assert record["paddings"] == list(family.paddings)
    assert (record["n_generations"] > 0, record["n_searches"] > 0) == (
        family.writing is not None,
        family.beam > 0,
    )


def test_there_is_no_record_of_a_family_that_is_no_more(certificates):
    assert certificates.records().keys() <= {family.name for family in families()}


@pytest.mark.slow
def test_a_family_is_certified_and_recorded_alone(certificates, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    before = certificates.records()
    monkeypatch.setattr(certificates, "FILE", tmp_path / "certificates.jsonl")
    kept = {**before["gpt2"], "logits_error": 0.5}
    certificates.FILE.write_text(json.dumps(kept) + "\n")
    assert certificates.main(["fnet"]) == 0
    assert list(certificates.records()) == ["fnet", "gpt2"]
    assert certificates.records()["gpt2"] == kept
    assert certificates.records()["fnet"].keys() == before["fnet"].keys()


@pytest.mark.parametrize("kind", ["position", "attention", "layout"])
def test_every_part_that_can_be_seen_has_its_picture(kind, picture, tmp_path):
    for name in our_parts(our_kinds()[kind]):
        shown = picture(f"{kind}/{name}", tmp_path)
        is_seen = (kind, name) not in {("attention", "linear"), ("attention", "none")}
        assert (tmp_path / f"{name}.svg").is_file() == bool(shown) == is_seen, name
        said = rf"!\[[^]]*\b{name}\b[^]]*\]\({name}\.svg\)\n\nDrawn of `{{type: {name}\b"
        assert not is_seen or re.match(said, shown), shown


@pytest.mark.parametrize("component", ["ffn/mlp", "norm/rms_norm", "mixer/lstm", "metric/accuracy"])
def test_a_part_of_which_only_the_name_could_be_drawn_has_none(component, picture, tmp_path):
    assert picture(component, tmp_path / "none") == ""
    assert not (tmp_path / "none").exists()


def test_a_picture_is_of_the_first_example(picture, tmp_path):
    shown = picture("attention/restricted", tmp_path)
    assert shown.endswith("Drawn of `{type: restricted, n_heads: 3, radius: 2}` at d_model 48.")
    svg = (tmp_path / "restricted.svg").read_text()
    assert "54 of 144 pairs are seen" in svg  # 12 · 5 - 2 · (2 + 1)
    assert "33 of 144 pairs are seen" in svg  # 12 · 3 - (2 + 1)


def test_an_attention_that_reads_positions_is_drawn_in_a_model_that_has_them(picture, tmp_path):
    picture("attention/disentangled", tmp_path)
    assert "encoder.layer.self_attention" in (tmp_path / "disentangled.svg").read_text()


def test_the_citation_agrees_with_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["repository-code"] == project["urls"]["Repository"]


class Fetched(HTMLParser):
    """What a browser loads by itself for a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(given.get("href") or "")


@pytest.mark.slow
def test_the_site_is_built_strictly_with_a_page_each_and_fetches_nothing(tmp_path):
    pytest.importorskip("material", reason="needs mkdocs-material: pip install '.[docs]'")
    command = [sys.executable, str(SITE / "build.py"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "out" / "site"
    assert (site / "parts" / "layout" / "pre_norm.svg").is_file()
    pages = [f"parts/{kind.name}/{name}" for kind in our_kinds().values() for name in our_parts(kind)]
    pages += [f"presets/{name}" for name in presets.names()]
    pages += [f"tutorials/{script.stem}" for script in (ROOT / "examples").glob("*.py")]
    assert [page for page in pages if not (site / page / "index.html").is_file()] == []
    for file in site.rglob("*.html"):
        found = Fetched()
        found.feed(file.read_text(encoding="utf-8"))
        assert [each for each in found.addresses if re.match(r"(https?:)?//", each)] == [], file


@pytest.mark.slow
def test_the_notebook_runs_cell_by_cell(tmp_path):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    script = tmp_path / "notebook.py"
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    script.write_text("\n\n".join(code), encoding="utf-8")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for promised in ("did you mean 'rms_norm'?", "parameters", "layer_norm → rms_norm", "spec.yaml", "BLEU"):
        assert promised in done.stdout
