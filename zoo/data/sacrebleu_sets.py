"""The test sets that sacrebleu knows, as files: from its own cache, into which it downloads what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from registry import suggest
from zoo.errors import DataError, one_line


def is_test_set(name: str) -> bool:
    """Whether sacrebleu knows a test set of that name, such as `wmt14/full`."""
    return name in _known()


def files_of_test_set(name: str, source_language: str, target_language: str) -> list[Path]:
    """The source file and the reference files of a test set, plain text, line by line.

    Raises: DataError for a set or a pair of languages that sacrebleu does not know; for one that is neither in its
        cache nor can be downloaded; and for a download that is damaged.
    """
    known = _known()
    if name not in known:
        raise DataError(f"sacrebleu knows no test set {name!r}; {suggest(name, sorted(known))}")
    test_set, pair = known[name], f"{source_language}-{target_language}"
    if pair not in test_set.langpairs:
        pairs = sorted(test_set.langpairs)
        raise DataError(f"sacrebleu's {name} has no {pair}; {suggest(pair, pairs, listed=True)}")
    home = Path(test_set._outdir)
    try:
        files = [Path(test_set.get_source_file(pair)), *map(Path, test_set.get_reference_files(pair))]
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename or home}: sacrebleu's cache is not whole; remove {home}, and it is downloaded again"
        ) from None
    except SystemExit:
        raise DataError(
            f"{home}: what sacrebleu downloaded of {name} is damaged, as it says above; remove {home}"
        ) from None
    except Exception as error:  # of a download anything from a name that is not found to an archive cut off
        raise DataError(
            f"sacrebleu's {name} ({pair}) is not in {home}, and cannot be downloaded: {one_line(error)}; where there "
            f"is a network, `sacrebleu -t {name} -l {pair} --echo src` puts it there"
        ) from None
    if len(files) < 2:
        raise DataError(f"sacrebleu's {name} has no reference for {pair}")
    return files


def _known() -> dict[str, Any]:
    """sacrebleu's test sets by name."""
    from sacrebleu.dataset import DATASETS

    return dict(DATASETS)
