"""The published families: what the README says of them, and a row for each certificate."""

from __future__ import annotations

from certificates import Record, record_of
from texts import ROOT, code_url, section, table

import presets
from zoo.interop.certify import GRADIENT_BAR, LOGITS_BAR
from zoo.interop.family import Family, families

_MEASURED = (
    "family", "small configs", "error of outputs", "of gradients", "equal in greedy search", "in beam search", "lines"
)  # fmt: skip
_COVERED = ("family", "classes", "padded", "published, and its parameters")


def family_page() -> str:
    """Every family: its classes, what its certificate says, and the published models whose parameters are counted.

    Raises: NoRecordError for a family that was not certified.
    """
    found = [(family, record_of(family)) for family in families()]
    measured = [_measured(family, record) for family, record in found]
    covered = [_covered(family, record) for family, record in found]
    records = [record for _, record in found]
    told = [
        f"Each small config was tried with {_each(records, 'n_seeds')} random models (`zoo certify FAMILY`, float32). "
        "An error is the largest difference from the reference, relative to the largest of its numbers; allowed are "
        f"{LOGITS_BAR:.0e} for outputs, where the largest of all families is {_largest(records, 'logits_error')}, and "
        f"{GRADIENT_BAR:.0e} for the gradient of each weight, where it is {_largest(records, 'gradient_error')}. "
        "Greedy search is counted in batches, beam search in outputs that ended, all of them equal token for token. "
        "The lines are those of the family's table that are not blank.",
        f"Measured against {_each(records, 'reference')} with torch {_each(records, 'torch')} on "
        f"{_each(records, 'processor')}, and recorded by `python examples/site/certificates.py`; the tests of "
        "`tests/interop` compare anew at every change.",
    ]
    return (
        f"# Published families\n\n{section(ROOT / 'README.md', 'Published families')}\n\n"
        f"## Certificates\n\n{told[0]}\n\n{told[1]}\n\n{table(_MEASURED, measured)}\n\n"
        "## What is covered\n\nEvery published model has as many parameters as the reference has.\n\n"
        f"{table(_COVERED, covered)}\n"
    )


def _measured(family: Family, record: Record) -> list[str]:
    lines = (ROOT / _file(family)).read_text(encoding="utf-8").splitlines()
    return [
        f"[{family.name}]({code_url(_file(family))})",
        str(record["n_configs"]),
        f"{record['logits_error']:.1e}",
        f"{record['gradient_error']:.1e}",
        str(record["n_generations"] or "not tried"),
        str(record["n_searches"] or "not tried"),
        str(sum(bool(line.strip()) for line in lines)),
    ]


def _covered(family: Family, record: Record) -> list[str]:
    published = [
        f"{f'[{name}](presets/{name}.md)' if name in presets.names() else name}: {count:,}"
        for name, count in record["parameters"].items()
    ]
    return [
        family.name,
        ", ".join(f"`{name}`" for name in family.architectures),
        ", ".join(record["paddings"]),
        "; ".join(published),
    ]


def _file(family: Family) -> str:
    return f"zoo/interop/families/{family.name.replace('-', '_')}.py"


def _each(records: list[Record], key: str) -> str:
    """What the records say, each once."""
    return " or ".join(sorted({str(record[key]) for record in records}))


def _largest(records: list[Record], key: str) -> str:
    worst = max(records, key=lambda record: record[key])
    return f"{worst[key]:.1e} ({worst['family']})"
