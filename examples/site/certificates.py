"""What `zoo certify` found of each published family: kept in certificates.jsonl, a line a family.

python examples/site/certificates.py [FAMILY...]

Certifies the families named, or those that have no record yet, with three seeds each: seconds a family. A record is
written as soon as its family is done; of a family that differs from its reference the certificate is printed, none is
written, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from registry import SpecError
from zoo.interop.certify import Certificate, certify
from zoo.interop.family import Family, families, family_named
from zoo.storage.files import write_text
from zoo.training.settling import device_name

FILE = Path(__file__).parent / "certificates.jsonl"
Record = dict[str, Any]
"""A Certificate's fields, and the torch and processor that it was found with."""


class NoRecordError(Exception):
    """A family was not certified since its configs are what they are; says by which command it is."""


def main(names: list[str]) -> int:
    """Certifies and records, and gives the exit code."""
    try:
        chosen = [family_named(name) for name in names]
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    n_wrong = 0
    for family in chosen or [each for each in families() if not _is_of(records().get(each.name), each)]:
        certificate = certify(family.name)
        print(certificate.text(), end="\n\n", flush=True)
        if certificate.failures:
            n_wrong += 1
        else:
            _write({**records(), family.name: _record(certificate)})
    return int(n_wrong > 0)


def record_of(family: Family) -> Record:
    """What was measured of a family. Raises: NoRecordError where nothing was, or with other configs than it has."""
    record = records().get(family.name)
    if record is None or not _is_of(record, family):
        what = "no record" if record is None else "a record of other configs"
        command = f"python examples/site/certificates.py {family.name}"
        raise NoRecordError(f"{FILE.name} has {what} of {family.name}; certify it by: {command}")
    return record


def records() -> dict[str, Record]:
    """Every record, by the name of its family."""
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    return {record["family"]: record for record in map(json.loads, lines)}


def _record(certificate: Certificate) -> Record:
    """What it found, with what it was found; it has no failures."""
    found = {key: value for key, value in vars(certificate).items() if key != "failures"}
    return {**found, "torch": torch.__version__, "processor": device_name(torch.device("cpu"))}


def _is_of(record: Record | None, family: Family) -> bool:
    if record is None:
        return False
    published = {each.name for each in family.published}
    return (record["n_configs"], set(record["parameters"])) == (len(family.examples), published)


def _write(found: dict[str, Record]) -> None:
    write_text(FILE, "".join(f"{json.dumps(found[name])}\n" for name in sorted(found)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
