"""What every command has in common: an error becomes one message on standard error and an exit code."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from zoo.cli.arguments import check_overrides
from zoo.cli.consent import may_run
from zoo.cli.ending import INTERRUPTED, PREEMPTED
from zoo.cli.usage import usage_text
from zoo.training.consent import CONSENT
from zoo.training.signals import StopRequest

INTERNAL_ERROR, BAD_SPEC, BAD_DATA, DIVERGED, INPUT_OUTPUT = 1, 2, 3, 4, 5
BROKEN_PIPE = 141  # 128 + the number of SIGPIPE


class Shell(TyperGroup):
    """The group of all commands. The context's `obj` says whether errors are to show their traceback."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Each command with all of its text, which click would cut at the end of the line."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        texts = {name: command.help or "" for name, command in commands.items() if command is not None}
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.split())) for name, text in texts.items()])

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Runs a command; raises typer.Exit with the error's code, or under --debug the error itself."""
        words = list(ctx.args)
        asking = CONSENT.set(may_run)
        try:
            check_overrides([word for word in ctx.args if word.startswith("--") and "." in word])
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone must be noticed here, not when the interpreter ends
            return result
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if hasattr(error, "format_message") and not ctx.obj:  # typer's own
                print(usage_text(error), file=sys.stderr)
                raise typer.Exit(BAD_SPEC) from None
            # typer's signals to end carry their exit code
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort) or ctx.obj:
                raise
            if getattr(StopRequest.of_process, "has_acted", False):
                raise  # what became of a signal on its way here: zoo/cli/ending.py ends the process
            message, code = explain(error)
            if paths := getattr(error, "paths", None):
                options = [word for path in paths for word in ("--plugin", path)]
                message += f": zoo {shlex.join([ctx.invoked_subcommand or '', *words, *options])}"
            print(message, file=sys.stderr)
            raise typer.Exit(code) from None
        finally:
            CONSENT.reset(asking)


def explain(error: Exception) -> tuple[str, int]:
    """The message and the exit code of an error that reached the command line."""
    from presets import PresetError
    from registry import PluginError, SpecError
    from zoo.cli.blaming import blamed
    from zoo.errors import DataError, DivergedError, PreemptedError

    codes: dict[type[Exception], int] = {
        SpecError: BAD_SPEC,
        PresetError: BAD_SPEC,
        PluginError: BAD_SPEC,
        DataError: BAD_DATA,
        DivergedError: DIVERGED,
        PreemptedError: PREEMPTED,
        OSError: INPUT_OUTPUT,
    }
    code = next((code for kind, code in codes.items() if isinstance(error, kind)), INTERNAL_ERROR)
    if code == INTERNAL_ERROR and (text := blamed(error)):
        return f"{text} (`zoo --debug ...` shows the whole way there)", BAD_SPEC
    if code == INTERNAL_ERROR:
        return f"{type(error).__name__}: {error} (unexpected; `zoo --debug ...` shows where it arose)", code
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", code
    return str(error), code
