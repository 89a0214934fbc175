"""The console script `zoo`: takes the signals over before anything slow is imported."""

from __future__ import annotations

from zoo.cli import ending


def main() -> None:
    """Runs the command line."""
    ending.run(_program)


def _program() -> None:
    from zoo.cli.main import app

    app(prog_name="zoo")
