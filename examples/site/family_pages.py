"""The published families: what the README says of them, and a row for each table of zoo/interop/families."""

from __future__ import annotations

from texts import ROOT, code_url, section, table

import presets
from zoo.interop.family import families


def family_page() -> str:
    """Every family: its classes, what it is certified on, and the published models whose parameters are counted."""
    rows = []
    for family in families():
        file = f"zoo/interop/families/{family.name.replace('-', '_')}.py"
        published = [
            f"[{each.name}](presets/{each.name}.md)" if each.preset in presets.names() else each.name
            for each in family.published
        ]
        rows.append(
            [
                f"[{family.name}]({code_url(file)})",
                ", ".join(f"`{name}`" for name in family.architectures),
                str(len(family.examples)),
                ", ".join(family.paddings),
                ", ".join(published),
            ]
        )
    heading = ["family", "classes of transformers", "small configs certified", "padded", "published, counted"]
    return (
        f"# Published families\n\n{section(ROOT / 'README.md', 'Published families')}\n\n"
        f"## Certificates\n\n`zoo certify FAMILY` compares each small config with three seeds; "
        f"the tests of `tests/interop` do the same.\n\n{table(heading, rows)}\n"
    )
