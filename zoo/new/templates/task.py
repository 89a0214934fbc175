"""A task: the class of a text, learnt from texts in which words are missing.

Next:
    pytest test_my_part.py
    zoo describe task/my_part --plugin my_part.py
    zoo train text_classifier_small --scale tiny --plugin my_part.py task.type=my_part task.data.type=grammar_sentences
"""

from typing import Any, Literal

import numpy as np
from pydantic import Field
from zoo.data.store import Example
from zoo.kinds import TASK
from zoo.tasks.text_classification import TextClassification, TextClassificationSpec


class MyPartSpec(TextClassificationSpec):
    type: Literal["my_part"] = "my_part"  # type: ignore[assignment]
    dropped: float = Field(0.3, ge=0, lt=1)
    """Share of the tokens that are left out in training, others each time."""

    # Of the fields of TextClassificationSpec nothing is repeated. Optional: check(self, *,
    # model) raises ValueError for a model that cannot learn it; `reads`, fields of a row.


@TASK.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"data": {"type": "grammar_sentences", "n_train": 23}}],
)
class MyPart(TextClassification):
    """Learns the class of a text, of which it is shown a part at a time.

    Source: Iyyer et al. 2015, section 2.2 (word dropout).
    """

    varies = True

    # What it adds to the constructor it extends; the rest is passed on.
    def __init__(self, *, dropped: float, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.dropped = dropped

    # An example as it is met this time, a function of the random numbers that are given.
    def vary(
        self, example: Example, random: np.random.Generator, *, is_training: bool
    ) -> Example:
        if not is_training:
            return example
        n_tokens = len(example["inputs"])
        kept = random.random(n_tokens) >= self.dropped
        kept[[0, -1]] = True  # the marks around the text
        per_token = [name for name in ("inputs", "types") if name in example]
        return {**example, **{name: example[name][kept] for name in per_token}}

    # What else a task may say differently: zoo.tasks.task.Task lists all of it. encode()
    # makes an example of a row, collate() a batch of examples, loss() and predict() call
    # the model, written() makes an answer a line of JSON, metric() scores.
