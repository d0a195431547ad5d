"""Which files a path of prompts is: one file, a folder of shards, or what `datasets` saved to disk.

| a folder with | is |
|---|---|
| `dataset_dict.json` | splits, each a folder of its own (`DatasetDict.save_to_disk`) |
| `state.json` | the Arrow files that it names (`Dataset.save_to_disk`) |
| `train-00000-of-00002.parquet`, `test.jsonl` ... | splits by the names of the files, also below `data/` |
| other data files of one kind | one data set, in order of name |

Where there are splits, `train` is trained on, and the first that there is of `HELD_OUT` is held out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schemas.errors import PromptFileError
from tasks.admit.files import LONGEST, parsed

HELD_OUT = ("test", "validation", "valid", "val", "dev", "eval")
_DATA = (".parquet", ".arrow", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
_SPLIT = re.compile(rf"(train|{'|'.join(HELD_OUT)})(-\d+-of-\d+)?")

Split = Literal["train", "eval"]


@dataclass(frozen=True)
class Parts:
    """The files of one data set in order, the name that its prompts carry, and the splits beside it."""

    name: str
    files: tuple[Path, ...]
    folder: bool = False
    others: tuple[str, ...] = ()


def parts_of(path: Path, split: Split) -> Parts:
    """The files that a path stands for, of a split where it has any; PromptFileError of one line."""
    if not path.is_dir():
        return Parts(path.name, (path,))
    splits = _splits(path)
    if splits is None:
        return Parts(path.resolve().name, tuple(_data_set(path)), True)
    name = _chosen(path, tuple(splits), split)
    others = tuple(one for one in splits if one != name)
    return Parts(f"{path.resolve().name}/{name}", tuple(splits[name]), True, others)


def has_held_out(path: Path) -> bool:
    """Whether a path brings a split to hold out beside one to train on."""
    splits = _splits(path) if path.is_dir() else None
    return splits is not None and "train" in splits and any(name in splits for name in HELD_OUT)


def _splits(path: Path) -> dict[str, list[Path]] | None:
    """The files of each split of a folder; None: it has no splits."""
    if (path / "dataset_dict.json").is_file():
        names = _described(path / "dataset_dict.json", "splits")
        return {name: _data_set(path / name) for name in names}
    if (path / "state.json").is_file():
        return None
    splits: dict[str, list[Path]] = {}
    files = _shards(path)
    for file in files:
        match = _SPLIT.fullmatch(file.name.partition(".")[0])
        if match:
            splits.setdefault(match[1], []).append(file)
    rest = len(files) - sum(map(len, splits.values()))
    if splits and rest:
        raise PromptFileError(
            f"prompt folder {path}: {rest} files are of no split, others are: give one file"
        )
    return splits or None


def _chosen(path: Path, names: Sequence[str], split: Split) -> str:
    preferred = ("train",) if split == "train" else HELD_OUT
    name = next((one for one in preferred if one in names), names[0] if len(names) == 1 else None)
    if name is None:
        raise PromptFileError(
            f"prompt folder {path} has the splits {', '.join(names) or 'none'}, none of "
            f"{', '.join(preferred)}: give one split's own folder or file"
        )
    return name


def _data_set(path: Path) -> list[Path]:
    """The files of a data set without splits."""
    if (path / "state.json").is_file():
        names = [one.get("filename") if isinstance(one, dict) else one for one in _state(path)]
        return [path / _plain_name(path, name) for name in names]
    return _shards(path)


def _shards(path: Path) -> list[Path]:
    """The data files of a folder, or of `data` in it, by name; they are of one kind."""
    for folder in (path, path / "data"):
        try:
            files = (
                sorted(one for one in folder.iterdir() if _kind(one) and one.is_file())
                if folder.is_dir()
                else []
            )
        except OSError as error:
            raise PromptFileError(f"prompt folder {path}: {error.strerror}") from None
        if len({_kind(one) for one in files}) > 1:
            raise PromptFileError(f"prompt folder {path} holds files of several kinds: give one file")
        if files:
            return files
    raise PromptFileError(f"prompt folder {path} holds no data: no {', '.join(_DATA)}")


def _kind(file: Path) -> str | None:
    return next((kind for kind in reversed(_DATA) if file.name.lower().endswith(kind)), None)


def _state(path: Path) -> list[Any]:
    files = _json(path / "state.json").get("_data_files")
    if not isinstance(files, list):
        raise PromptFileError(f"{path / 'state.json'} names no data files")
    return files


def _described(file: Path, key: str) -> list[str]:
    names = _json(file).get(key)
    if not isinstance(names, list):
        raise PromptFileError(f"{file} names no {key}")
    return [_plain_name(file.parent, name) for name in names]


def _json(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as described:
            text = described.read(LONGEST).decode()
        value = parsed(text)
    except (OSError, ValueError):
        raise PromptFileError(f"{file} does not parse") from None
    if not isinstance(value, dict):
        raise PromptFileError(f"{file} does not hold an object")
    return value


def _plain_name(folder: Path, name: object) -> str:
    """A name within a folder: a description is a file as any other, and may not lead out of it."""
    if not isinstance(name, str) or name != Path(name).name or name in ("", ".", ".."):
        raise PromptFileError(f"prompt folder {folder} names {str(name)[:80]!r}, which is no file of its own")
    return name
