"""The colours of drawings, by day and by night."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours that are legible together: 4.5 : 1 and more, of lines and letters on the ground and on tints of it."""

    ground: str
    ink: str
    muted: str
    grid: str
    """No text has it, and no line that means something."""
    variants: tuple[str, ...]
    """The base's, then the variants' in turn: Okabe and Ito's order."""

    def colour(self, variant: int) -> str:
        """A variant's colour."""
        return self.variants[colour_number(variant)]

    def properties(self) -> str:
        """The four that are no variant's, for a style sheet."""
        return f"--ground:{self.ground};--ink:{self.ink};--muted:{self.muted};--grid:{self.grid}"


LIGHT = Theme(
    *("#ffffff", "#1b1f24", "#57606a", "#e3e6ea"),
    ("#1b1f24", "#0072b2", "#b84900", "#007a5a", "#a64d8f", "#856400", "#1b7c96", "#7a3b12"),
)
DARK = Theme(
    *("#0d1117", "#e6edf3", "#9da5ae", "#262c36"),
    ("#e6edf3", "#56b4e9", "#ff9a5c", "#3fcf9f", "#e79bcf", "#e0bd4a", "#9ad1f5", "#d9a37a"),
)
THEMES = ("auto", "light", "dark")
"""What a file may have; auto: an SVG that follows its reader, and a PNG by day."""
TINT = 0.13
"""How much of a variant's colour a box and a band have on the ground."""


def theme_of(name: str) -> Theme:
    """The colours that a file of that theme has where it cannot follow its reader."""
    return DARK if name == "dark" else LIGHT


def colour_number(variant: int) -> int:
    """Its place among a theme's variants: the base's colour is its alone."""
    return 0 if variant == 0 else 1 + (variant - 1) % (len(LIGHT.variants) - 1)


def colour_class(variant: int) -> str:
    """The class by which a style sheet gives a variant its colour."""
    return f"c{colour_number(variant)}"


def colour_rules(theme: Theme, within: str = "") -> str:
    """Rules of a style sheet that give each variant's class its colour, within what the selector names."""
    return "".join(f"{within}.c{i}{{--c:{colour}}}" for i, colour in enumerate(theme.variants))
