"""Every family's mapping is exact: outputs, gradients, generated tokens, folders, parameter counts."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from zoo.interop.certify import GRADIENT_BAR, LOGITS_BAR, certify
from zoo.interop.family import family_named, family_names


def cases():
    """Those that a preset is one of by one seed, and in the slow part all by two."""
    for name in family_names():
        if any(published.preset for published in family_named(name).published):
            yield pytest.param(name, (0,), id=f"{name}-one")
        yield pytest.param(name, (0, 1), id=f"{name}-two", marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "seeds"), list(cases()))
def test_a_familys_models_compute_what_the_reference_computes(name: str, seeds: tuple[int, ...]) -> None:
    certificate = certify(name, seeds=seeds)
    assert certificate.failures == []
    assert certificate.logits_error <= LOGITS_BAR
    assert certificate.gradient_error <= GRADIENT_BAR
    assert certificate.n_batches >= 3 * len(seeds)
    family = family_named(name)
    assert (certificate.n_generations > 0) == (family.writing is not None)
    assert (certificate.n_searches > 0) == (family.beam > 0)
    assert certificate.parameters.keys() == {published.name for published in family.published}


@pytest.mark.parametrize("name", family_names())
def test_every_family_counts_a_published_model(name: str) -> None:
    assert family_named(name).published
