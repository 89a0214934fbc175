"""The operations between their tensors and ours undo each other, and do what their names say."""

from __future__ import annotations

import pytest
import torch

from zoo.interop.rules import (
    Either,
    Interleaved,
    Operation,
    Reshape,
    Rule,
    Split,
    SplitHeads,
    Transpose,
    Unstack,
    chosen,
    either,
    for_each,
    module,
    tensor,
)


@pytest.mark.parametrize(
    ("operations", "theirs", "ours"),
    [
        ((Transpose(),), [(5, 3)], [(3, 5)]),
        ((Transpose(),), [(5,)], [(5,)]),
        ((Split(3),), [(12, 5)], [(4, 5)] * 3),
        ((Split((2, 7)),), [(9, 5)], [(2, 5), (7, 5)]),
        ((Split((2, 3), dim=1),), [(4, 5)], [(4, 2), (4, 3)]),
        ((Transpose(), Split(3)), [(5, 12)], [(4, 5)] * 3),
        ((SplitHeads(2),), [(2 * 3 * 5, 7)], [(10, 7)] * 3),
        ((SplitHeads(2),), [(2 * 3 * 5,)], [(10,)] * 3),
        ((SplitHeads(3, parts=(1, 1)),), [(3 * 2 * 5, 7)], [(15, 7)] * 2),
        ((Unstack(3),), [(3, 4, 5)], [(4, 5)] * 3),
        ((Interleaved(2),), [(8, 5)], [(4, 5)] * 2),
        ((Unstack(3), Transpose(), Interleaved(2)), [(3, 5, 8)], [(4, 5)] * 6),
        ((Unstack(3), Split(2)), [(3, 8, 5)], [(4, 5)] * 6),
        ((Reshape((1, 4, 5), (4, 5)),), [(1, 4, 5)], [(4, 5)]),
    ],
)
def test_what_leads_to_ours_leads_back(
    operations: tuple[Operation, ...], theirs: list[tuple[int, ...]], ours: list[tuple[int, ...]]
) -> None:
    rule = Rule(("ours",), ("theirs",), operations)
    given = [torch.randn(shape) for shape in theirs]
    made = rule.to_ours(given)
    assert [tuple(each.shape) for each in made] == ours
    for expected, back in zip(given, rule.to_theirs(made), strict=True):
        torch.testing.assert_close(back, expected, rtol=0, atol=0)


def test_heads_laid_side_by_side_are_taken_apart_row_by_row() -> None:
    fused = torch.randn(2 * 3 * 5, 7)
    query, key, value = SplitHeads(2).to_ours([fused])
    for head in range(2):
        for row in range(5):
            for part, made in enumerate((query, key, value)):
                assert torch.equal(made[head * 5 + row], fused[head * 15 + part * 5 + row])


def test_stacked_experts_come_gate_before_inner_expert_by_expert() -> None:
    stacked = torch.randn(2, 6, 5)
    made = Split(2).to_ours(Unstack(2).to_ours([stacked]))
    expected = [stacked[0, :3], stacked[0, 3:], stacked[1, :3], stacked[1, 3:]]
    assert all(torch.equal(one, other) for one, other in zip(made, expected, strict=True))


def test_places_are_filled_in_every_name() -> None:
    rules = for_each("i", 2, tensor(("a.{i}", "b.{i}"), "c.{i}.{e}", copies=("d.{i}",)))
    named = for_each("e", 1, rules)
    assert named[1] == Rule(("a.1", "b.1"), ("c.1.0",), copies=("d.1",))


def test_of_several_namings_the_one_that_is_there_is_chosen_and_else_the_first() -> None:
    rules = either(module("ours", "new"), module("ours", "old"))
    assert isinstance(rules[0], Either)
    assert [rule.theirs for rule in chosen(rules, {"old.weight", "old.bias"})] == [
        ("old.weight",),
        ("old.bias",),
    ]
    assert [rule.theirs for rule in chosen(rules, {"other"})] == [("new.weight",), ("new.bias",)]


def test_of_two_namings_of_which_as_much_is_there_the_whole_one_is_chosen() -> None:
    rules = either(tensor(("a", "b"), ("gate", "up")), tensor(("a", "b"), "gate", Split(2)))
    assert [rule.theirs for rule in chosen(rules, {"gate"})] == [("gate",)]
    assert [rule.theirs for rule in chosen(rules, {"gate", "up"})] == [("gate", "up")]
    assert [rule.theirs for rule in chosen(rules, ())] == [("gate", "up")]
