"""An ablation's folder says of which ablation it is, whatever becomes of the file it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import SpecError, plugins
from tests.ablation.pretending import Pretended, plan_of
from zoo.ablation.kept import ABLATION_FILE, keep, kept_plan
from zoo.ablation.plan import Plan, Trial
from zoo.ablation.planning import make_plan
from zoo.ablation.running import run_plan
from zoo.ablation.spec import read
from zoo.ablation.trial import Outcome
from zoo.errors import RunError
from zoo.kinds import FFN
from zoo.storage.records import write_record
from zoo.training.consent import CONSENT, Asked

FILE = """
base: own.yaml
scale: tiny
overrides: {training.max_steps: 3, model.encoder.layer.ffn.d_ff: 24, training.optimizer.eps: 1e-9}
variants:
  glu: {model.encoder.layer.ffn: {type: glu}}
  "a: b": {task.label_smoothing: 0.0}
factors: {model.encoder.layer.self_attention.n_heads: [1, 4]}
seeds: [3, 5]
"""
OWN = "extends: quickstart\nmodel: {encoder: {layer: {dropout: 0.25}}}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of a file whose base lies beside it, with words of the command line."""
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "file.yaml").write_text(FILE)
    given = ["training.max_steps=5", "task.data.n_train=41", "training.loggers=[]"]
    return make_plan(read(tmp_path / "file.yaml"), given=given)


def test_a_folder_gives_its_plan_back_without_the_files_it_was_made_from(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    keep(plan, folder)
    (tmp_path / "own.yaml").unlink()
    found = kept_plan(folder)
    assert found.variants == plan.variants
    assert found.trials == plan.trials
    assert found.same == plan.same == (("n_heads=4", "base"),)
    assert found.base.run.training.max_steps == 5  # type: ignore[union-attr]


def test_what_is_kept_is_kept_again_from_itself(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    keep(plan, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.yaml")}
    keep(kept_plan(folder), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.yaml")} == before


def test_a_folder_of_no_ablation_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no ablation lies here: there is no ablation\.yaml"):
        kept_plan(tmp_path)


def test_it_is_written_before_the_first_training(plan: Plan, tmp_path: Path) -> None:
    seen = []

    def ends(trial: Trial) -> Outcome:
        seen.append((tmp_path / "o" / ABLATION_FILE).exists())
        return Outcome("done")

    run_plan(plan, tmp_path / "o", Pretended(ends=ends), plugins=[Path("own parts.py")])
    assert seen == [True] * len(plan.trials)
    assert "--plugin own parts.py" in (tmp_path / "o" / ABLATION_FILE).read_text().splitlines()[0]


def test_the_folder_of_another_ablation_keeps_what_it_says_of_itself(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run_plan(plan_of(seeds=[3]), folder, Pretended())
    before = (folder / ABLATION_FILE).read_bytes()
    with pytest.raises(RunError, match="was trained by another spec"):
        run_plan(plan, folder, Pretended())
    assert (folder / ABLATION_FILE).read_bytes() == before


def test_a_plugin_that_is_not_loaded_is_named(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    keep(plan, folder)
    file = folder / ABLATION_FILE
    file.write_text(file.read_text().replace("type: glu", "type: my_own_ffn"))
    with pytest.raises(SpecError, match="my_own_ffn"):
        kept_plan(folder)
    run = folder / plan.trials[0].place
    run.mkdir(parents=True)
    needed = {"given": "p.py", "path": "/somewhere/p.py", "sha256": "0", "names": ["ffn/my_own_ffn"]}
    write_record(run / "plugins.json", {"plugins": [needed]})
    with pytest.raises(SpecError, match=r"needs the plugin /somewhere/p\.py"):
        kept_plan(folder)


OWN_FFN = """
from typing import Literal
from zoo.components.ffn.glu import GLU, GLUSpec
from zoo.kinds import FFN

class MySpec(GLUSpec):
    type: Literal["my_own_ffn"] = "my_own_ffn"

@FFN.register("my_own_ffn", spec=MySpec, examples=[{}])
class Mine(GLU):
    \"\"\"A GLU of one's own.\"\"\"
"""


def test_a_plugin_that_the_user_allows_is_run_for_it_and_no_other(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FFN.names()
    monkeypatch.setattr(FFN, "_entries", dict(FFN._entries))
    monkeypatch.setattr(plugins, "_loaded", {})
    folder, own = tmp_path / "out", tmp_path / "p.py"
    own.write_text(OWN_FFN)
    keep(plan, folder)
    file = folder / ABLATION_FILE
    file.write_text(file.read_text().replace("type: glu", "type: my_own_ffn"))
    needed = {"given": "p.py", "path": str(own), "sha256": "0", "names": ["ffn/my_own_ffn"]}
    for trial in plan.trials[:2]:
        (folder / trial.place).mkdir(parents=True)
        write_record(folder / trial.place / "plugins.json", {"plugins": [needed]})
    asked: list[Path] = []
    answers = iter([False, True])

    def says(about: Asked) -> bool:
        asked.append(about.path)
        return next(answers)

    token = CONSENT.set(says)
    try:
        with pytest.raises(SpecError, match="needs the plugin"):
            kept_plan(folder)
        assert [each.name for each in kept_plan(folder).variants] == [each.name for each in plan.variants]
    finally:
        CONSENT.reset(token)
    assert asked == [own, own]


def test_where_no_run_tells_its_plugins_the_words_of_the_ablation_do(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    keep(plan, folder, plugins=[Path("own parts.py")])
    file = folder / ABLATION_FILE
    file.write_text(file.read_text().replace("type: glu", "type: my_own_ffn"))
    with pytest.raises(SpecError) as caught:
        kept_plan(folder)
    assert str(caught.value).splitlines()[-1] == f"{file}:1: it was made with --plugin own parts.py; add that"
