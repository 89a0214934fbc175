from __future__ import annotations

import math

import pytest

from zoo.training.progress import Progress


@pytest.mark.parametrize(
    ("validations", "best"),
    [
        # (step, score, loss): BLEU says nothing yet, the loss falls
        ([(100, 0.0, 6.0), (200, 0.0, 5.0), (300, 0.0, 4.5)], 300),
        ([(100, 0.0, 4.0), (200, 0.0, 5.0)], 100),
        ([(100, 7.0, 4.0), (200, 7.0, 4.0)], 200),
        ([(100, 7.5, 4.0), (200, 7.0, 3.0)], 100),
        ([(100, math.nan, 4.0), (200, 1.0, math.nan)], 200),
        ([(100, math.nan, math.nan)], None),
    ],
)
def test_of_equal_scores_the_lower_loss_wins_then_the_later_step(
    validations: list[tuple[int, float, float]], best: int | None
) -> None:
    progress = Progress()
    for step, score, loss in validations:
        progress.step = step
        progress.note_validation(score, loss)
    assert progress.best_step == best
    assert progress.validated_step == validations[-1][0]
    assert Progress.load(progress.dump()) == progress


def test_a_loss_that_is_no_number_is_no_lower_than_any() -> None:
    progress = Progress(step=1)
    progress.note_validation(1.0, math.nan)
    progress.step = 2
    progress.note_validation(1.0, 3.0)
    assert progress.best_step == 2
