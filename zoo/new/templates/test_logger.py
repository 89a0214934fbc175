"""What this logger promises."""

from pathlib import Path

from my_part import MyPart


def test_each_step_is_a_line(tmp_path: Path) -> None:
    logger = MyPart(digits=3, folder=tmp_path / "logs")
    logger.log_hyperparams({"a": 1, "b": 2})
    logger.log_metrics({"loss": 1.23456, "lr": 0.001}, step=7)
    logger.finalize("success")
    text = (tmp_path / "logs" / "my_part.txt").read_text(encoding="utf-8")
    assert text.splitlines() == [
        "a run of 2 settings",
        "step 7: loss 1.23, lr 0.001",
        "end: success",
    ]
