"""safetensors files, one tensor at a time: nothing is mapped into memory, and nothing is held twice.

The format: a length (8 bytes, little-endian), a JSON header {name: {dtype, shape, data_offsets}}, the tensors' bytes.
safetensors' own reader maps the whole file, whose pages then count as memory, and its writer copies all tensors first.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.errors import RunError

DTYPES = {
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
    "F32": torch.float32,
    "U32": torch.uint32,
    "I32": torch.int32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "U16": torch.uint16,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""In the order in which safetensors' own writer puts tensors: so each lies at a multiple of its width."""

FOR_TORCH: Mapping[str, str] = {"format": "pt"}
"""The metadata without which transformers reads no file."""

_CODES = {dtype: code for code, dtype in DTYPES.items()}
_BLOCK_BYTES = 1 << 23
_METADATA = "__metadata__"
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


class Readable(Protocol):
    """A tensor that is there to be read."""

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read_into(self, out: Tensor) -> None:
        """Writes the tensor into one of its shape, in that one's dtype."""
        ...

    def blocks(self) -> Iterator[Tensor]:
        """Its values in order, in flat pieces, each valid until the next is asked for."""
        ...


@dataclass(frozen=True)
class Held:
    """A tensor of a live model."""

    tensor: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """Its dtype."""
        return self.tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensor.shape)

    def read_into(self, out: Tensor) -> None:
        """Copies the tensor."""
        out.copy_(self.tensor.detach())

    def blocks(self) -> Iterator[Tensor]:
        """The tensor, flat, on the CPU."""
        yield self.tensor.detach().cpu().flatten()


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies in a file."""

    file: Path
    offset: int
    """In bytes from the file's start."""
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read_into(self, out: Tensor) -> None:
        """Writes the tensor into one of its shape, in that one's dtype; needs no memory besides a block's."""
        assert tuple(out.shape) == self.shape
        flat = out.view(-1)
        if out.dtype == self.dtype:
            with self.file.open("rb", buffering=0) as file:
                file.seek(self.offset)
                self._fill(file, flat)
            return
        start = 0
        for block in self.blocks():
            flat[start : start + len(block)] = block
            start += len(block)

    def blocks(self) -> Iterator[Tensor]:
        """Its values in order, in flat pieces, each valid until the next is asked for."""
        n = math.prod(self.shape)
        room = scratch(min(self.n_bytes, _BLOCK_BYTES)).view(self.dtype)
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset)
            for start in range(0, n, max(1, len(room))):
                block = room[: n - start]
                self._fill(file, block)
                yield block

    def _fill(self, file: FileIO, flat: Tensor) -> None:
        room = flat.view(torch.uint8).numpy().data
        done = 0
        while done < len(room):
            n = file.readinto(room[done:])
            if not n:
                raise RunError(f"{self.file}: it ends within a tensor")
            done += n


@dataclass(frozen=True)
class Promised:
    """A tensor to be written: what it is, and how it is had."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @property
    def n_bytes(self) -> int:
        """Its size in the file."""
        return self.dtype.itemsize * math.prod(self.shape)


def promise(tensor: Tensor) -> Promised:
    """A tensor that is there."""
    return Promised(tensor.dtype, tuple(tensor.shape), lambda: tensor)


def scratch(n_bytes: int) -> Tensor:
    """Room for a while, uint8 [n], apart from the allocator's, where it would leave holes between weights."""
    if not n_bytes:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(mmap.mmap(-1, n_bytes), dtype=torch.uint8)


def stored_tensors(file: Path) -> dict[str, Stored]:
    """What a file holds, by its header alone.

    Raises: RunError for one that is missing, unreadable or no safetensors file.
    """
    header, start, size = _header(file)
    found = {name: _stored(file, name, entry, start) for name, entry in header.items() if name != _METADATA}
    end = start
    for name, tensor in sorted(found.items(), key=lambda item: (item[1].offset, item[1].n_bytes)):
        if tensor.offset != end:
            raise RunError(f"{file}: damaged: tensor {name!r} does not begin where the one before it ends")
        end += tensor.n_bytes
    if end != size:
        raise RunError(f"{file}: damaged: it is {size:,} bytes long, and its header tells of {end:,}")
    return found


def stored_metadata(file: Path) -> dict[str, str]:
    """What a file says of itself besides its tensors.

    Raises: RunError for one that is missing, unreadable or no safetensors file.
    """
    metadata = _header(file)[0].get(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise RunError(f"{file}: damaged: its metadata should map names to texts")
    return metadata


def _header(file: Path) -> tuple[dict[str, Any], int, int]:
    """A file's header, where in the file it ends, and how long the file is, in bytes."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
                raise RunError(
                    f"{file}: damaged or no safetensors file: its header cannot be {length:,} bytes long"
                )
            header = json.loads(stream.read(length), object_pairs_hook=_distinct)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: damaged or no safetensors file: its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise RunError(f"{file}: damaged or no safetensors file: its header is no mapping")
    return header, 8 + length, size


def _stored(file: Path, name: str, entry: Any, start: int) -> Stored:
    try:
        code, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, last]
        is_sound = all(type(number) is int and number >= 0 for number in numbers)
    except (TypeError, KeyError, ValueError):
        is_sound = False
    if not is_sound:
        raise RunError(f"{file}: damaged: its header says of tensor {name!r} what cannot be")
    if code not in DTYPES:
        raise RunError(f"{file}: tensor {name!r} is of type {code}; only {', '.join(DTYPES)} are read")
    dtype = DTYPES[code]
    if last - first != math.prod(shape) * dtype.itemsize:
        raise RunError(f"{file}: damaged: the shape of tensor {name!r} does not go with its length")
    return Stored(file, start + first, dtype, tuple(shape))


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def write_tensors(
    file: Path, tensors: Mapping[str, Promised], *, metadata: Mapping[str, str] = FOR_TORCH
) -> None:
    """Writes a file whose tensors are made one by one, in that order; it has what permissions the umask gives.

    Raises: RunError for a dtype that is not stored; OSError as the file system gives it.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    offset = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _CODES:
            known = ", ".join(DTYPES)
            raise RunError(f"{file}: tensor {name!r} is of type {tensor.dtype}; only {known} are written")
        end = offset + tensor.n_bytes
        offsets = [offset, end]
        header[name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that tensors start at a multiple of 8
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, promised in tensors.items():
            made = promised.make()
            assert (made.dtype, tuple(made.shape)) == (promised.dtype, promised.shape), name
            if made.numel():
                stream.write(made.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
