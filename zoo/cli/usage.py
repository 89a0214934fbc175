"""What is wrong with the words of a command, as typer finds it, in one line and in this program's voice."""

from __future__ import annotations

from typing import Any

_EXPECTED = {
    "int_parsing": "an integer",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}


def usage_text(error: Any) -> str:
    """The line of a typer UsageError: what is wrong, what was perhaps meant, and where the command's words are told."""
    context = error.ctx
    command = context.command_path.replace("root", "zoo", 1) if context is not None else "zoo"
    return f"{_wrong(error, command)} ({command} -h)"


def _wrong(error: Any, command: str) -> str:
    from registry import suggest

    if hasattr(error, "possibilities"):
        known = [word for each in error.ctx.command.params for word in each.opts if word.startswith("--")]
        nearby = suggest(error.option_name, known)
        return f"{command} has no option {error.option_name}; {nearby}"
    if getattr(error, "param", None) is not None and not hasattr(error, "param_type"):
        return f"{error.param.opts[0]}: {_value(error)}"
    if hasattr(error, "param_type") and error.param is not None:
        return f"{command} needs {getattr(error.param, 'metavar', None) or error.param.name}"
    text = str(error.format_message()).rstrip(".")
    return text[:1].lower() + text[1:]


def _value(error: Any) -> str:
    """What a value must be and is; as typer says it where that is not known."""
    errors = getattr(error.__cause__, "errors", None)
    first: dict[str, Any] = errors()[0] if errors is not None else {"type": ""}
    if (expected := _EXPECTED.get(first["type"])) is None:
        return str(error.message)
    return f"must be {expected.format(**first.get('ctx', {}))}, got {first['input']}"
