"""Promises of people's files: every format is read to the same prompts, and a hostile file is one line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.opening.asking import with_shots
from schemas.errors import PromptFileError
from schemas.recipes.rft import Rft
from tasks.admit import files
from tasks.admit.prompts import prompt_rows
from tasks.admit.reading import read_file, read_prompts
from tests.flows.conftest import small_recipe as small_recipe

RECORDS: list[dict[str, Any]] = [
    {"question": f'What is "{n}"\n+ {n}, é?', "answer": f"Twice {n}.\n#### {2 * n}", "topic": "sums"}
    for n in range(7)
]


def jsonl(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "sums.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def marked(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = jsonl(folder, records)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return path


def array(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "sums.json"
    path.write_text(json.dumps(records, indent=2))
    return path


def array_gz(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "sums.json.gz"
    path.write_bytes(gzip.compress(json.dumps(records).encode()))
    return path


def separated(
    folder: Path, records: list[dict[str, Any]], name: str = "sums.csv", delimiter: str = ","
) -> Path:
    with (folder / name).open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return folder / name


def tsv(folder: Path, records: list[dict[str, Any]]) -> Path:
    return separated(folder, records, "sums.tsv", "\t")


def semicolons(folder: Path, records: list[dict[str, Any]]) -> Path:
    return separated(folder, records, delimiter=";")


def parquet(folder: Path, records: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(records), folder / "sums.parquet")
    return folder / "sums.parquet"


def shards(folder: Path, records: list[dict[str, Any]]) -> Path:
    (folder / "sums" / "data").mkdir(parents=True)
    for place, part in enumerate((records[:3], records[3:])):
        name = f"train-{place:05d}-of-00002.parquet"
        pq.write_table(pa.Table.from_pylist(part), folder / "sums" / "data" / name)
    return folder / "sums"


def arrow(path: Path, records: list[dict[str, Any]]) -> str:
    """A file as `datasets` writes it: an IPC stream."""
    table = pa.Table.from_pylist(records)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path.name


def saved(folder: Path, records: list[dict[str, Any]], name: str = "sums") -> Path:
    """The layout of `Dataset.save_to_disk`."""
    path = folder / name
    path.mkdir(parents=True)
    parts = (records[:4], records[4:])
    names = [arrow(path / f"data-{i:05d}-of-00002.arrow", part) for i, part in enumerate(parts)]
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": one} for one in names]}))
    (path / "dataset_info.json").write_text("{}")
    return path


def saved_splits(folder: Path, records: list[dict[str, Any]]) -> Path:
    """The layout of `DatasetDict.save_to_disk`, with a split named as the other files are."""
    path = folder / "all"
    saved(path, records, "sums")
    (path / "dataset_dict.json").write_text(json.dumps({"splits": ["sums"]}))
    return path


FORMATS = (marked, array, array_gz, separated, tsv, semicolons, parquet, shards, saved, saved_splits)


def ids(path: Path) -> list[str]:
    return prompt_rows(read_prompts(path), "train", "loop", 0)["prompt_id"].to_list()


@pytest.mark.parametrize(
    ("written", "place"),
    [
        (jsonl, "line 3"),
        (array, "record 3"),
        (separated, "record 3"),
        (tsv, "record 3"),
        (parquet, "record 3"),
    ],
)
def test_a_record_is_named_as_people_find_it(
    written: Callable[[Path, list[dict[str, Any]]], Path], place: str, tmp_path: Path, small_recipe: Rft
) -> None:
    """By its line where a record is a line; a table's records may have several, and its header has one."""
    long = RECORDS[0] | {"question": "a\nb"}
    path = written(tmp_path, [long, RECORDS[1], RECORDS[2] | {"question": " "}])
    with pytest.raises(PromptFileError, match=rf"{path.name}, {place}: the question must be a text"):
        read_prompts(path)
    values = small_recipe.model_dump() | {"prompts": {"few_shots": str(path)}}
    path = written(tmp_path, [long, RECORDS[1], RECORDS[2] | {"question": "x" * 20_001}])
    with pytest.raises(PromptFileError, match=rf"{path.name}, {place}: a text of over 20,000 characters"):
        with_shots(Rft.model_validate(values))


@pytest.mark.parametrize("write", FORMATS)
def test_the_same_records_are_the_same_prompts_in_any_format(
    write: Callable[[Path, list[dict[str, Any]]], Path], tmp_path: Path
) -> None:
    lines = jsonl(tmp_path, RECORDS)
    expected = ids(lines)
    rows = read_prompts(lines).drop("source", "format")
    path = write(tmp_path, RECORDS)
    read = read_prompts(path)
    texts = (
        [ending.replace("\r\n", "\n") for ending in read["text"]]
        if write is marked
        else read["text"].to_list()
    )
    assert texts == [one["question"] for one in RECORDS]
    assert read.drop("source", "format").equals(rows)
    if write is shards:  # a split's name is the name of its prompts
        lines.rename(tmp_path / "train.jsonl")
        expected = ids(tmp_path / "train.jsonl")
    assert ids(path) == expected
    assert read_file(path).columns == {"question": "question", "answer": "answer", "topic": "topic"}


def test_a_folder_that_datasets_saved_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(RECORDS)
    datasets.DatasetDict({"train": data.select(range(5)), "test": data.select(range(5, 7))}).save_to_disk(
        str(tmp_path / "sums")
    )
    read = [read_file(tmp_path / "sums", split) for split in ("train", "eval")]  # type: ignore[arg-type]
    texts = [text for one in read for text in one.rows["text"]]
    assert texts == [one["question"] for one in RECORDS]
    assert [one.name for one in read] == ["sums/train", "sums/test"]
    assert ids(tmp_path / "sums") == ids(tmp_path / "sums" / "train")


def test_messages_are_the_same_prompts_in_a_table(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    prompt = [*turns, {"role": "user", "content": "c"}]
    records = [{"messages": [*prompt, {"role": "assistant", "content": "d"}]}, {"messages": turns}]
    rows = read_prompts(jsonl(tmp_path, records)).drop("source", "format")
    assert read_prompts(parquet(tmp_path, records)).drop("source", "format").equals(rows)
    assert read_prompts(saved(tmp_path, records)).drop("source", "format").equals(rows)


def test_columns_that_a_user_names_are_read_as_what_they_are_named(tmp_path: Path) -> None:
    records = [{"task": "1 + 1?", "key": 2, "question": "not this", "work": "so 2", "difficulty": "hard"}]
    named = (("question", "task"), ("answer", "key"), ("solution", "work"), ("difficulty", ""))
    read = read_file(parquet(tmp_path, records), columns=named)
    (row,) = read.rows.to_dicts()
    assert (row["text"], row["reference"], row["solution"], row["difficulty"]) == (
        "1 + 1?",
        "2",
        "so 2",
        None,
    )
    assert read.columns == {"question": "task", "answer": "key", "solution": "work"}
    assert set(read.unread) == {"question", "difficulty"}
    with pytest.raises(
        PromptFileError, match="row 1: no 'no', which is named as a column: there is 'difficulty'"
    ):
        read_file(parquet(tmp_path, records), columns=(("question", "no"),))


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.jsonl", b'{"question": "a", "answer": "' + b"x" * 3000, "line 1: longer than 2,048 bytes"),
        ("a.json", b'[{"question": "' + b"x" * 9000, "line 1, record 1: longer than 2,048 bytes"),
        ("a.csv", b'question,answer\n"' + b"x" * 3000, "line 2: "),
        (
            "a.jsonl",
            gzip.compress((b" " * 500 + b"\n") * 60, mtime=0),
            "more than 9,999 bytes once decompressed",
        ),
        (
            "a.json.gz",
            gzip.compress(b"[" + b" " * 20_000, mtime=0),
            "more than 9,999 bytes once decompressed",
        ),
        ("a.jsonl", b"\n" * 200, "more than 100 lines"),
        ("a.json", b"[" + b"{}," * 200 + b"{}]", "line 1, record 1: no 'question'"),
        ("a.jsonl", b'{"question": "a", "answer": "b"}\n\xff\n', "line 2: not UTF-8"),
        ("a.json", b'[\n{"question": "\xff"}]', "line 2: not UTF-8"),
        ("a.csv", b"question,answer\na,b\n\xe9,c\n", "line 3: not UTF-8"),
        ("a.jsonl", "{}".encode("utf-16"), "it is UTF-16"),
        (
            "a.json",
            b'[{"question": "a", "answer": "b"},\n {"question": "c"}]',
            "line 2, record 2: no 'answer'",
        ),
        ("a.json", b'[{"question": "a", "answer": "b"}\n', "line 2: not JSON (a ',' is due)"),
        ("a.json", b'[{"question": "a", "answer": "b"}] x', "line 1: something follows the array"),
        ("a.json", b'[{"question": ]', "line 1, record 1: not JSON"),
        ("a.json", b"[]", "holds no prompt"),
        ("a.csv", b'question,answer\n"a,b\n', "line 2: not CSV"),
        ("a.csv", b"question,answer\na,b\nc\n", "line 3: 1 cells, where 2 columns are named"),
        ("a.csv", b"answer,answer\n1,2\n", "line 1: two columns have one name"),
        ("a.parquet", b"PAR1" + b"x" * 50, "a.parquet: "),
        ("a.arrow", b"\xff\xff\xff\xff\x10\x00\x00\x00xx", "a.arrow: "),
        ("a.xlsx", b"PK\x03\x04", "it is a zip archive"),
    ],
)
def test_a_hostile_file_is_one_line_and_nothing_is_written(
    name: str, data: bytes, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, value in (("LONGEST", 2048), ("MOST_BYTES", 9999), ("MOST_RECORDS", 100), ("_CHUNK", 512)):
        monkeypatch.setattr(files, limit, value)
    (tmp_path / name).write_bytes(data)
    run = CliRunner().invoke(
        main, ["run", "rft", "--prompts", str(tmp_path / name), "--lake", str(tmp_path / "lake")]
    )
    assert run.exit_code == 2, run.output
    assert problem in run.stderr
    assert str(tmp_path / name) in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "lake").exists()


def test_deep_nesting_is_one_line(tmp_path: Path) -> None:
    for name, data in (("a.json", DEEP), ("b.jsonl", b'{"question": ' + DEEP), ("c.json", b"[{" + DEEP)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PromptFileError, match=r"line 1.*: not JSON"):
            read_prompts(tmp_path / name)


def test_a_description_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    path = saved(tmp_path, RECORDS)
    (path / "state.json").write_text('{"_data_files": [{"filename": "../../secret.arrow"}]}')
    with pytest.raises(PromptFileError, match="which is no file of its own"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "holds no data"),
        (["a.csv", "b.parquet"], "holds files of several kinds"),
        (["train.csv", "notes.csv"], "1 files are of no split"),
        (["test.csv", "validation.csv"], "has the splits test, validation, none of train"),
    ],
)
def test_a_folder_that_leaves_a_choice_is_refused(names: list[str], problem: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("question,answer\na,1\n")
    with pytest.raises(PromptFileError, match=problem):
        read_prompts(tmp_path)


def test_a_repeated_text_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.admit import tables

    monkeypatch.setattr(tables, "LONGEST", 1000)
    long = pa.array(["x" * 2000] * 50).dictionary_encode()
    pq.write_table(pa.table({"question": long, "answer": long}), tmp_path / "a.parquet")
    with pytest.raises(PromptFileError, match="row 1: longer than 1,000 bytes"):
        read_prompts(tmp_path / "a.parquet")


def test_blank_records_are_kept_with_their_reason(tmp_path: Path) -> None:
    records = [
        {"question": " ", "answer": "1"},
        {"question": "a", "answer": ""},
        {"question": "b", "answer": "2"},
    ]
    for write in (jsonl, parquet, separated):
        rows = read_file(write(tmp_path, records)).rows
        assert rows["refusal"].to_list() == ["empty", "no answer", None]
    assert isinstance(rows, pl.DataFrame)
