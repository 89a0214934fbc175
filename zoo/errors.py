"""The errors a user can meet besides a bad spec; the command line maps each to its exit code."""


class DataError(ValueError):
    """The data is not what the spec says: the message names file and line. Exit code 3."""


class DivergedError(RuntimeError):
    """Training stopped because loss or gradients stayed non-finite. Exit code 4."""


class RunError(OSError):
    """A run folder is missing, incomplete, damaged or in use. Exit code 5."""


class PreemptedError(RuntimeError):
    """The process was told to end (SIGTERM) and saved what it had. Exit code 143."""


def one_line(error: BaseException, longest: int = 200) -> str:
    """What an exception of another library says, on one line; its name where it says nothing."""
    return (" ".join(str(error).split()) or type(error).__name__)[:longest]
