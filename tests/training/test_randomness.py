from __future__ import annotations

import io
import random

import numpy as np
import torch

from zoo.training.randomness import random_state, restore_random_state, seed_all, untouched


def draw() -> tuple[float, float, float, float]:
    return random.gauss(0, 1), float(np.random.normal()), float(torch.randn(())), random.random()


def test_the_state_of_all_generators_survives_a_safe_file() -> None:
    with untouched():
        draw()  # leaves a second gaussian number waiting in python's and numpy's generators
        file = io.BytesIO()
        torch.save(random_state(), file)
        expected = [draw() for _ in range(3)]
        file.seek(0)
        restore_random_state(torch.load(file, weights_only=True))
        assert [draw() for _ in range(3)] == expected


def test_what_a_block_draws_leaves_no_trace() -> None:
    with untouched():
        seed_all(3, 0, 0)
        expected = draw()
        seed_all(3, 0, 0)
        with untouched():
            draw()
        assert draw() == expected


def test_seed_step_and_rank_each_give_other_numbers() -> None:
    with untouched():
        found = set()
        for place in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1), (11, 0, 0)):
            seed_all(*place)
            found.add(draw())
        assert len(found) == 6
