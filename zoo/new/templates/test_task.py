"""What this task promises."""

from typing import Any

import numpy as np
import zoo
from zoo.kinds import TASK

from my_part import MyPart

MODEL = zoo.load("text_classifier_small", scale="tiny").model


def task(**fields: Any) -> MyPart:
    spec = TASK.entry("my_part").spec.model_validate(
        {"data": "grammar_sentences", **fields}
    )
    return TASK.build(spec, model=MODEL, coders={})


def test_tokens_are_missing_in_training_only_and_never_the_first_or_the_last() -> None:
    example, random = {"inputs": np.arange(40)}, np.random.default_rng(1)
    assert task().vary(example, random, is_training=False) is example
    tokens = task(dropped=0.5).vary(example, random, is_training=True)["inputs"]
    assert 10 < len(tokens) < 30
    assert (tokens[0], tokens[-1]) == (0, 39)
    assert (np.diff(tokens) > 0).all()  # those left stand in their order
