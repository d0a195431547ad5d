"""The records of one text file: JSON lines, a JSON array, CSV or TSV, each also compressed by gzip.

Files are hostile. They are read as a stream and never held whole; at most `MOST_BYTES` (once decompressed),
`MOST_RECORDS` records and `LONGEST` bytes or characters a record. What goes beyond, is not UTF-8, or does not
parse is one line that names the file and the line. A byte order mark is skipped.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import PromptFileError, first_line

LONGEST = 2**24  # bytes of a line or a record
MOST_BYTES = 2**31  # of a file, decompressed
MOST_RECORDS = 5_000_000  # also blank lines
_CHUNK = 2**20
_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x80\x04\x95": "a pickle",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_DELIMITERS = {"csv": ",;\t", "tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its number, its place in the file as people find it ("line 3"), and its value as parsed.

    The number is the line of JSON lines, blank ones counted, and of other files the place among the records.
    """

    number: int
    place: str
    value: Any


def text_format(path: Path) -> str:
    """What a text file holds, by its beginning and its name: jsonl, json (an array), csv or tsv."""
    head = next(_chunks(path), b"")[:_CHUNK].removeprefix(codecs.BOM_UTF8)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise PromptFileError(f"prompt file {path}: it is {what}: give JSON, CSV, Parquet or Arrow")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in _DELIMITERS:
        return kind
    return "json" if head.lstrip()[:1] == b"[" else "jsonl"


def text_rows(path: Path, format_: str) -> Iterator[Row]:
    """The records of a text file, in order; PromptFileError names what is wrong, and where."""
    read: Callable[[Path], Iterator[Row]] = {"jsonl": _json_lines, "json": _array}.get(format_, _separated)
    for count, row in enumerate(read(path), start=1):
        if count > MOST_RECORDS:
            raise PromptFileError(f"prompt file {path}: more than {MOST_RECORDS:,} records")
        yield row


def parsed(text: str) -> Any:
    """A text as JSON; ValueError of one line where it is none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested too deeply: {first_line(error)}") from None


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = parsed(line)
        except ValueError as error:
            raise PromptFileError(f"{path}, line {number}: not JSON ({first_line(error)[:200]})") from None
        yield Row(number, f"line {number}", value)


def _array(path: Path) -> Iterator[Row]:
    """The elements of a JSON array, parsed one by one: no more than one of them is held."""
    scan = _Scan(path)
    scan.expect("[")
    count = 0
    if scan.next() == "]":
        scan.expect("]")
    else:
        while True:
            count += 1
            yield scan.element(count)
            if scan.next() == "]":
                scan.expect("]")
                break
            scan.expect(",")
    if scan.next():
        raise PromptFileError(f"{path}, line {scan.line}: something follows the array")


class _Scan:
    """A place in a JSON text that is read piece by piece."""

    def __init__(self, path: Path) -> None:
        self.path, self.line = path, 1
        self._pieces = _texts(path)
        self._text, self._at, self._ended = "", 0, False
        self._decoder = json.JSONDecoder()

    def next(self) -> str:
        """The next character that is no space, not taken; empty at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in " \t\r\n":
                    return character
                self.line += character == "\n"
                self._at += 1
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        """Take one character."""
        if self.next() != character:
            raise PromptFileError(f"{self.path}, line {self.line}: not JSON (a {character!r} is due)")
        self._at += 1

    def element(self, number: int) -> Row:
        """Take one value."""
        self.next()
        place = f"line {self.line}, record {number:,}"
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, json.JSONDecodeError) and self._unfinished(error) and self._more():
                    if len(self._text) - self._at > LONGEST:
                        raise PromptFileError(_too_long(self.path, place)) from None
                    continue
                raise PromptFileError(f"{self.path}, {place}: not JSON ({first_line(error)[:200]})") from None
            self.line += self._text.count("\n", self._at, end)
            self._at = end
            return Row(number, place, value)

    def _unfinished(self, error: json.JSONDecodeError) -> bool:
        """Whether more of the text may mend an error."""
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - 16

    def _more(self) -> bool:
        """Read on, by at least as much as is held, so that long values are not parsed too often."""
        pieces, size = [self._text[self._at :]], 0
        while not self._ended and size <= len(pieces[0]):
            piece = next(self._pieces, None)
            self._ended = piece is None
            pieces.append(piece or "")
            size += len(piece or "")
        self._text, self._at = "".join(pieces), 0
        return size > 0


def _separated(path: Path) -> Iterator[Row]:
    """The rows of a CSV or TSV file by the names of its first line."""
    csv.field_size_limit(LONGEST)
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    first = next((line for _, line in _lines(path) if line.strip()), "")
    delimiter = max(_DELIMITERS[kind], key=first.count)  # the first where they are as many
    reader = csv.reader((f"{line}\n" for _, line in _lines(path)), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    start, number = 1, 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise PromptFileError(f"{path}, line {start}: not {kind.upper()} ({first_line(error)})") from None
        place, start = f"line {start}", reader.line_num + 1
        if not cells:
            continue
        if names is None:
            names = [cell.strip() for cell in cells]
            if len(set(names)) < len(names):
                raise PromptFileError(f"{path}, {place}: two columns have one name")
            continue
        if len(cells) != len(names):
            raise PromptFileError(
                f"{path}, {place}: {len(cells)} cells, where {len(names)} columns are named"
            )
        if sum(map(len, cells)) > LONGEST:
            raise PromptFileError(_too_long(path, place))
        number += 1
        yield Row(number, place, dict(zip(names, cells, strict=True)))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, numbered from 1, without their ends."""
    number, rest = 0, b""
    for chunk in _chunks(path):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield number, _text(path, number, line)
        if len(rest) > LONGEST:
            raise PromptFileError(_too_long(path, f"line {number + 1}"))
        if number > MOST_RECORDS:
            raise PromptFileError(f"prompt file {path}: more than {MOST_RECORDS:,} lines")
    if rest:
        yield number + 1, _text(path, number + 1, rest)


def _text(path: Path, number: int, line: bytes) -> str:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise PromptFileError(
            f"{path}, line {number}: not UTF-8 ({error.reason} at byte {error.start + 1})"
        ) from None


def _texts(path: Path) -> Iterator[str]:
    """A file's text, piece by piece."""
    decoder, line = codecs.getincrementaldecoder("utf-8-sig")(), 1
    try:
        for chunk in _chunks(path):
            piece = decoder.decode(chunk)
            line += piece.count("\n")
            yield piece
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += bytes(error.object[: error.start]).count(b"\n")
        raise PromptFileError(f"{path}, line {line}: not UTF-8 ({error.reason})") from None


def _chunks(path: Path) -> Iterator[bytes]:
    """A file's bytes, decompressed where it is a gzip, up to the limit."""
    total = 0
    try:
        with path.open("rb") as raw:
            zipped = path.suffix == ".gz" or raw.read(2) == _GZIP
            raw.seek(0)
            with gzip.open(raw) if zipped else raw as file:
                while chunk := file.read(_CHUNK):
                    total += len(chunk)
                    if total > MOST_BYTES:
                        raise PromptFileError(
                            f"prompt file {path}: more than {MOST_BYTES:,} bytes{_once(zipped)}"
                        )
                    yield chunk
    except (EOFError, zlib.error) as error:
        raise PromptFileError(f"prompt file {path}: {first_line(error)}") from None
    except OSError as error:  # a file that is no gzip is one too
        raise PromptFileError(f"prompt file {path}: {error.strerror or first_line(error)}") from None


def _once(zipped: bool) -> str:
    return " once decompressed" if zipped else ""


def _too_long(path: Path, place: str) -> str:
    return f"{path}, {place}: longer than {LONGEST:,} bytes"
