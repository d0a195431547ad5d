"""The hash of a model's weights, read off safetensors files without loading a model.

The format: eight bytes of length, a JSON header of name to {dtype, shape, data_offsets}, the tensors' bytes.
Covered: headers that lie, repeat a name or point outside of their file are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ModelError, first_line
from warehouse.models.code import code_hash

TYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
    "C64": ("complex64", 8),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1),
    "F8_E8M0": ("float8_e8m0fnu", 1),
}
"""safetensors' name of a type: PyTorch's, and the bytes of one value."""
HEADER = 100_000_000  # bytes, the most that safetensors itself reads
PIECE = 16 << 20  # bytes


@dataclass(frozen=True)
class _Tensor:
    """Where one tensor's bytes lie, and what it is, as PyTorch prints type and shape."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    size: int


def weights_hash(folder: Path, files: Sequence[Path] | None = None) -> str:
    """SHA-256 (64 hex digits) over every tensor's name, type, shape and bytes, in order of name, and over the
    folder's code where it brings some. It does not depend on how tensors are spread over files.

    `files` are the safetensors files (None: the folder's). ModelError names one that is not readable.
    """
    where = _places(weight_files(folder) if files is None else files)
    sha = hashlib.sha256()
    for name in sorted(where):
        tensor = where[name]
        sha.update(f"{name}|torch.{tensor.kind}|{tensor.shape}|".encode())
        for piece in _bytes(tensor):
            sha.update(piece)
    sha.update(code_hash(folder).encode())
    return sha.hexdigest()


def check_headers(files: Sequence[Path]) -> None:
    """ModelError where a safetensors file is not readable, as far as its header tells; no tensor is read."""
    tensor_shapes(files)


def tensor_shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of some safetensors files, by its name, as their headers tell; ModelError
    where one is not readable.
    """
    return {name: tensor.shape for name, tensor in _places(files).items()}


def _places(files: Sequence[Path]) -> dict[str, _Tensor]:
    """Where each tensor of some files lies, by its name; ModelError names a file that is not readable."""
    where: dict[str, _Tensor] = {}
    for file in files:
        try:
            where |= dict(_tensors(file))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{file} is not a readable safetensors file: {first_line(error)}") from None
    return where


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in order of name."""
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


def _tensors(file: Path) -> Iterator[tuple[str, _Tensor]]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(HEADER, size - 8):
            raise ValueError("its header is not whole")
        header = json.loads(stream.read(length), object_pairs_hook=_distinct)
    for name, fields in header.items():
        if name == "__metadata__":
            continue
        kind, width = TYPES[fields["dtype"]]
        shape, (start, end) = tuple(fields["shape"]), fields["data_offsets"]
        if any(type(number) is not int or number < 0 for number in (*shape, start, end)):
            raise ValueError(f"{name} has no plain shape and place")
        if end - start != math.prod(shape) * width or end > size - 8 - length:
            raise ValueError(f"{name} does not lie in the file as its header says")
        yield name, _Tensor(file, kind, shape, 8 + length + start, end - start)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    distinct = dict(pairs)
    if len(distinct) < len(pairs):
        raise ValueError("its header names something twice")
    return distinct


def _bytes(tensor: _Tensor) -> Iterator[memoryview]:
    """A tensor's bytes in pieces: read, not mapped, so that a bad sector is an error and no signal."""
    buffer = memoryview(bytearray(min(tensor.size, PIECE)))
    with tensor.file.open("rb") as stream:
        stream.seek(tensor.start)
        remaining = tensor.size
        while remaining:
            count = stream.readinto(buffer[: min(remaining, PIECE)])
            if not count:
                raise ModelError(f"{tensor.file} became shorter while it was read")
            yield buffer[:count]
            remaining -= count
