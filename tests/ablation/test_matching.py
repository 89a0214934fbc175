"""What is held equal: sizes within 1 % by a width, budgets by steps, tokens or minutes."""

from __future__ import annotations

import pytest

from registry import SpecError
from tests.ablation.pretending import plan_of
from zoo.ablation.plan import Plan, Variant
from zoo.assembly.build import build, n_parameters

D_FF = "model.decoder.layer.ffn.d_ff"
SWIGLU = {"model.decoder.layer.ffn": {"type": "glu", "d_ff": 64, "activation": "silu"}}


def parameters(variant: Variant) -> int:
    return n_parameters(build(variant.run.model, device="meta"))


def flops(variant: Variant) -> float:
    """Of training, a token, by torch's own counter."""
    from zoo.analysis.cost import cost

    return cost(variant.run.model, length=128).training_per_token


def of(plan: Plan, name: str) -> Variant:
    return plan.variant(name)


@pytest.mark.parametrize(("match", "size"), [("parameters", parameters), ("flops", flops)])
def test_a_width_brings_a_variant_within_a_hundredth_of_the_base(match: str, size: object) -> None:
    overrides = {"model.d_model": 64, D_FF: 256, "model.decoder.layer.self_attention.n_heads": 4}
    variants = {"swiglu": {"model.decoder.layer.ffn": {"type": "glu", "d_ff": 256, "activation": "silu"}}}
    plain = plan_of(overrides=overrides, variants=variants)
    plan = plan_of(overrides=overrides, variants=variants, match=match, by=D_FF)
    assert abs(size(of(plain, "swiglu")) / size(plan.base) - 1) > 0.05  # type: ignore[operator]
    assert abs(size(of(plan, "swiglu")) / size(plan.base) - 1) <= 0.01  # type: ignore[operator]
    width = of(plan, "swiglu").run.model.decoder.layer.ffn.d_ff  # type: ignore[attr-defined]
    assert of(plan, "swiglu").note == f"{D_FF} {width}, for {match} as the base's"


def test_a_width_that_heads_must_divide_is_one_that_they_do() -> None:
    heads = "model.decoder.layer.self_attention.n_heads"
    plan = plan_of(
        overrides={"model.d_model": 1200, heads: 8},
        variants={"deep": {"model.decoder.n_layers": 3}},
        match="parameters",
        by="model.d_model",
    )
    deep = of(plan, "deep")
    assert deep.run.model.d_model % 8 == 0  # type: ignore[attr-defined]
    assert deep.run.model.d_model < 1200  # type: ignore[attr-defined]
    assert abs(parameters(deep) / parameters(plan.base) - 1) <= 0.01


def test_what_no_width_can_match_is_said_with_the_nearest() -> None:
    with pytest.raises(
        SpecError, match=r"variant 'deep': no value of model\.d_model brings it within 1%.*nearest is"
    ):
        plan_of(variants={"deep": {"model.decoder.n_layers": 40}}, match="parameters", by="model.d_model")


def test_a_key_that_is_no_width_is_refused() -> None:
    said = r"variant 'deep': model\.decoder\.layer\.ffn\.d_fff: no width is allowed there; .*d_ff"
    with pytest.raises(SpecError, match=said):
        plan_of(variants={"deep": {"model.decoder.n_layers": 3}}, match="parameters", by=f"{D_FF}f")


def test_what_is_equal_already_is_left_alone() -> None:
    plan = plan_of(
        match="parameters", by=D_FF, variants={"one": {"model.decoder.layer.self_attention.n_heads": 1}}
    )
    assert of(plan, "one").note == ""
    assert len(of(plan, "one").overrides) == 1


def test_steps_are_those_of_the_base() -> None:
    plan = plan_of(variants={"long": {"training.max_steps": 60, "model.decoder.n_layers": 1}}, match="steps")
    assert of(plan, "long").run.training.max_steps == 6  # type: ignore[union-attr]


def test_larger_batches_take_as_many_tokens_in_fewer_steps() -> None:
    plan = plan_of(
        overrides={"training.max_steps": 90},
        variants={"large": {"training.tokens_per_batch": 256, "training.accumulate": 3}},
        match="tokens",
    )
    assert of(plan, "large").run.training.max_steps == 15  # type: ignore[union-attr]


def test_tokens_cannot_be_counted_by_batches_of_different_rows() -> None:
    with pytest.raises(
        SpecError, match=r"variant 'rows': match: tokens counts by training\.tokens_per_batch"
    ):
        plan_of(variants={"rows": {"training.rows_per_batch": 3}}, match="tokens")


def test_minutes_end_all_trainings_also_that_of_the_base() -> None:
    plan = plan_of(
        overrides={"training.max_minutes": 0.5},
        variants={"small": {"model.decoder.n_layers": 1}, "long": {"training.max_minutes": 9}},
        match="minutes",
    )
    ends = {(each.run.training.max_minutes, each.run.training.max_steps) for each in plan.variants}  # type: ignore[union-attr]
    assert ends == {(0.5, 6000)}
    assert plan.same == (("long", "base"),)


def test_minutes_must_be_given() -> None:
    with pytest.raises(SpecError, match=r"match: minutes needs the base's: give overrides"):
        plan_of(match="minutes")
