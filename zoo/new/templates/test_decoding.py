"""What this decoding promises."""

import torch
import zoo
from zoo.kinds import DECODING

from my_part import MyPart, MyPartSpec

MODEL = zoo.load("quickstart", scale="tiny").model


def decoding(**fields: float) -> MyPart:
    return DECODING.build(MyPartSpec(max_length=6, **fields))


def test_only_tokens_near_the_largest_logit_are_left() -> None:
    scores = torch.tensor([[0.0, 2.0, 4.0, -torch.inf]])  # their deviation is 1.633
    kept = decoding(n_deviations=1.3).narrowed(scores).isfinite()
    assert kept.tolist() == [[False, True, True, False]]


def test_without_a_deviation_it_writes_the_most_probable_tokens() -> None:
    torch.manual_seed(3)
    model, source = zoo.build(MODEL).eval(), torch.randint(4, 300, (2, 5))
    greedy = DECODING.build(
        DECODING.entry("greedy").spec.model_validate({"max_length": 6})
    )
    drawn, best = decoding(n_deviations=0.0)(model, source), greedy(model, source)
    assert [row.tokens for (row,) in drawn] == [row.tokens for (row,) in best]
