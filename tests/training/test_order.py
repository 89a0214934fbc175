from __future__ import annotations

import pytest

from zoo.training.order import Order, Position, RankSampler

LENGTHS = [3, 1, 4, 2]


def order() -> Order:
    return Order(lambda number: [(number, i) for i in range(LENGTHS[number % 4])])


def everything(n: int) -> list[tuple[int, int]]:
    """The first n keys, one epoch after the other."""
    keys = [(epoch, i) for epoch in range(n) for i in range(LENGTHS[epoch % 4])]
    return keys[:n]


def test_the_epochs_follow_each_other_without_end() -> None:
    found = [order().key(order().after(Position(0, 0), n)) for n in range(25)]
    assert found == everything(25)


def test_steps_forward_add_up() -> None:
    for n in range(12):
        for m in range(12):
            there = order().after(order().after(Position(0, 0), n), m)
            assert there == order().after(Position(0, 0), n + m)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_deal_one_list_out_among_them(world_size: int) -> None:
    samplers = [
        RankSampler(order(), Position(0, 2), n=12 // world_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    dealt = [order().key(position) for step in zip(*samplers, strict=True) for position in step]
    assert dealt == everything(14)[2:]
    assert all(len(sampler) == 12 // world_size for sampler in samplers)


def test_a_sampler_can_be_read_twice() -> None:
    sampler = RankSampler(order(), Position(1, 0), n=5, rank=0, world_size=1)
    assert list(sampler) == list(sampler)


def test_the_share_counts_epochs() -> None:
    assert order().share(Position(0, 0)) == 0
    assert order().share(Position(2, 1)) == 2.25


def test_an_epoch_is_made_once_while_the_sampler_is_ahead_of_the_steps() -> None:
    made: list[int] = []

    def epoch(number: int) -> list[int]:
        made.append(number)
        return list(range(LENGTHS[number % 4]))

    shared = Order(epoch)
    behind = Position(0, 0)
    for position in RankSampler(shared, Position(0, 1), n=20, rank=0, world_size=1):
        shared.key(position)
        behind = shared.after(behind, 1)
        shared.key(behind)
    assert made == sorted(set(made))
