"""Pages that need nothing else: no network, no library, readable in print, by day and by night."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from zoo.drawing.svg import drawing_rules, escape
from zoo.drawing.themes import DARK, LIGHT, Theme, colour_rules

_CSS, _JS = "page.css", "page.js"


def whole_page(title: str, *, head: str, body: str, style: str, script: str) -> str:
    """A page of sections: head, which is HTML, stands under its title; style and script come after those of every page.

    A box of the class choosable shows the figure whose data-is has the words of the buttons pressed in it, and its
    legend's buttons show and hide what is drawn of their data-v. `all` and `tell(text, left, top)` are the script's.
    """
    own = resources.files("zoo.drawing")
    common = {name: (own / name).read_text(encoding="utf-8") for name in (_CSS, _JS)}
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{colours()}{drawing_rules()}{common[_CSS]}{style}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{head}</header>"
        f'<main>{body}</main><div id="told" role="status" hidden></div>'
        f"<script>{common[_JS]}{script}</script></body></html>\n"
    )


def choice(name: str, options: Sequence[tuple[str, str]]) -> str:
    """Buttons of which one is pressed, the first; hidden where there is nothing to choose."""
    buttons = "".join(
        f'<button type="button" data-pick="{value}" aria-pressed="{str(i == 0).lower()}">{escape(title)}</button>'
        for i, (value, title) in enumerate(options)
    )
    hidden = " hidden" if len(options) == 1 else ""
    return f'<span class="choice" data-choice="{name}"{hidden}>{buttons}</span>'


def choosable(figures: dict[str, str], choices: str, caption: str, legend: str) -> str:
    """Figures of which one is shown, that of the buttons pressed; by name, in the words of the choices."""
    first = next(iter(figures))
    shown = "".join(
        f'<figure data-is="{name}"{"" if name == first else " hidden"}>{figure}</figure>'
        for name, figure in figures.items()
    )
    return (
        f'<div class="choosable"><div class="choices">{choices}</div>{legend}{shown}'
        f'<p class="caption">{caption}</p></div>'
    )


HOW_TO_SWITCH = "Click: show or hide. Double click: this one alone."
"""What a legend's button says of itself."""


_DAY = "--raised:#f6f8fa;--edge:#d0d7de;--link:#0969da;--good:#116329;--bad:#a40e26;--goodbg:#dafbe1;--badbg:#ffebe9"
_NIGHT = (
    "color-scheme:dark;--raised:#161b22;--edge:#3d444d;--link:#6cb6ff;--good:#56d364;--bad:#ff8a80;"
    "--goodbg:#12361f;--badbg:#4a1714"
)


def colours() -> str:
    """The properties of every page by day and by night, as its reader has it, or as its root's data-theme says."""

    def rules(root: str, theme: Theme, further: str) -> str:
        return f"{root}{{{theme.properties()};{further}}}{colour_rules(theme, f'{root} ')}"

    night = rules(":root:not([data-theme=light])", DARK, _NIGHT)
    return (
        rules(":root", LIGHT, _DAY)
        + f"@media screen and (prefers-color-scheme:dark){{{night}}}"
        + rules(":root[data-theme=dark]", DARK, _NIGHT)
    )
