"""What every part must do, as named checks for parts of anybody's: in pytest, in Python, by `zoo conform`."""

from zoo.conformance.laws import part_of
from zoo.conformance.parametrizing import parametrize_with_laws
from zoo.conformance.plain import plain_part
from zoo.conformance.running import Finding, findings

__all__ = ["Finding", "findings", "parametrize_with_laws", "part_of", "plain_part"]
