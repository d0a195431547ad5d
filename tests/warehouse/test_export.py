"""Promises of an export: the snapshot's rows, a card with nothing invented, nothing written over."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from schemas.errors import BadInput, NotFound, RatchetError
from schemas.identity import base_id, checkpoint_id
from schemas.ids import make_id
from schemas.units import Unit
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query
from warehouse.seal import seal_rounds
from warehouse.share.export import FILES, Format, export, find_snapshot
from warehouse.snapshot import content_hash, freeze, read_snapshot

HOSTILE = (
    "plain",
    "a\nnew line, a \ttab, a \x00 NUL and a \x1b[31mcolour",
    "```\n# not a heading\n<script>alert(1)</script> | a | cell |",
    "\u2028 line separators \u2029\x85 and \u202e turned text",
    '{"messages": [], "x": "\\ud800"} \ud7ff\ue000 \U0001f600 ünïcode "',
    "",
)
FORMATS: list[Format] = list(FILES)
BASE = base_id("loop", "0" * 64)
TRAINING = make_id("train", 0, "one")
MADE = checkpoint_id(0, TRAINING)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A round that answered hostile prompts, kept all but two answers, and was trained on and sealed."""
    log = Log(Lake.create(tmp_path_factory.mktemp("filled") / "lake"))

    def add(table: str, step: str, rows: dict[str, Any]) -> None:
        log.once(Unit("loop", 0, step), table, lambda: pl.DataFrame(rows, strict=False))

    count = len(HOSTILE)
    prompt_ids = [make_id("prompt", 0, n) for n in range(count)]
    names = [make_id("cand", 0, n) for n in range(count + 2)]
    ids = [*prompt_ids, *prompt_ids[:2]]
    topics = [None, HOSTILE[2], "a", "a", "a", "a"]
    source = "file.jsonl | **bold** <b>"
    add(
        "prompts",
        "admit",
        {"prompt_id": prompt_ids, "split": "train", "source": source, "text": list(HOSTILE), "topic": topics},
    )
    add(
        "candidates",
        "generate",
        {
            "candidate_id": names,
            "prompt_id": ids,
            "checkpoint_id": BASE,
            "kind": "answer",
            "split": "train",
            "sample_index": [0] * count + [1, 1],
            "text": [*reversed(HOSTILE), "wrong", "wrong"],
        },
    )
    add(
        "scores",
        "verify",
        {
            "score_id": [make_id("score", 0, name) for name in names],
            "candidate_id": names,
            "prompt_id": ids,
            "verifier": "maths",
            "verifier_version": "7",
            "verifier_kind": "rule",
            "outcome": ["pass"] * count + ["fail", "fail"],
        },
    )
    add(
        "decisions",
        "filter",
        {
            "decision_id": [make_id("dec", 0, name) for name in names],
            "candidate_id": names,
            "prompt_id": ids,
            "filter": "correct",
            "position": 0,
            "kept": [True] * count + [False, False],
            "reason": [None] * count + ["fail", "``` <i>odd</i>\n| x |"],
        },
    )
    units = [Unit("loop", 0, "filter").key]
    snapshot = freeze(
        log, Unit("loop", 0, "freeze"), "sft", units, {"loop": "loop", "round": 0, "units": units}
    )
    add(
        "checkpoints",
        "base",
        {
            "checkpoint_id": [BASE],
            "content_hash": "0" * 64,
            "role": "policy",
            "path": "x",
            "origin": "```\n# odd",
        },
    )
    add(
        "trainings",
        "train",
        {
            "event_id": ["event"],
            "training_id": TRAINING,
            "state": "finished",
            "objective": "sft",
            "snapshot_id": snapshot,
            "base_checkpoint_id": BASE,
            "checkpoint_id": MADE,
            "hyperparameters": "{}",
            "seed": 0,
        },
    )
    add(
        "checkpoints",
        "made",
        {
            "checkpoint_id": [MADE],
            "content_hash": "1" * 64,
            "role": "policy",
            "path": "y",
            "training_id": TRAINING,
            "parent_id": BASE,
        },
    )
    for state in ("started", "held"):
        add(
            "rounds",
            state,
            {
                "event_id": [state],
                "state": state,
                "recipe": "rft",
                "recipe_hash": "abc123",
                "recipe_values": '{"seed": 3}',
                "night_begins": 0,
                "night_ends": 1,
                "champion_in": BASE,
            },
        )
    seal_rounds(log, "loop")
    return log.lake


def snapshot_of(lake: Lake) -> pl.DataFrame:
    row = find_snapshot(lake, "loop")
    return read_snapshot(lake.place(row["path"]), row["snapshot_id"])


def opened(file: Path, like: pl.DataFrame) -> pl.DataFrame:
    """An exported file's rows, as a reader that is not ours finds them."""
    if file.suffix == ".parquet":
        return pl.read_parquet(file)
    lines = file.read_bytes().decode("ascii").splitlines()
    return pl.DataFrame([json.loads(line) for line in lines], schema=like.schema)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_holds_the_snapshots_rows_to_the_character(
    filled: Lake, tmp_path: Path, kind: Format
) -> None:
    result = export(filled, "loop", tmp_path / "out", kind)
    rows = snapshot_of(filled)
    rows_back = opened(tmp_path / "out" / FILES[kind], rows)
    assert rows_back.equals(rows)
    assert result.rows == rows.height == len(HOSTILE)
    assert content_hash(rows_back) == result.content_hash
    assert result.snapshot_id.endswith(result.content_hash[:24])
    assert result.whole
    assert result.content_hash in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize(
    ("kind", "chat"), [("parquet", False), ("jsonl", False), ("datasets", False), ("jsonl", True)]
)
def test_the_folder_opens_with_datasets(
    filled: Lake, tmp_path: Path, kind: Format, chat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    export(filled, "loop/0", tmp_path / "out", kind, chat=chat)
    dataset = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(dataset) == ["train"]
    rows = snapshot_of(filled)
    if chat:
        contents = [[m["content"] for m in one] for one in dataset["train"]["messages"]]
        assert contents == [list(pair) for pair in rows.select("prompt", "response").iter_rows()]
        assert [m["role"] for m in dataset["train"]["messages"][0]] == ["user", "assistant"]
    else:
        assert dataset["train"].to_dict() == rows.to_dict(as_series=False)


def test_a_snapshot_is_named_by_its_id_its_checkpoint_or_its_round(filled: Lake) -> None:
    row = find_snapshot(filled, "loop")
    assert [find_snapshot(filled, what) for what in (row["snapshot_id"], MADE, "loop/0")] == [row] * 3


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (BASE, "is a base"),
        ("loop/7", "holds no training set of loop/7"),
        ("other", "holds no training set of other"),
        (make_id("snap", 0, "x"), "holds no training set"),
        (make_id("ckpt", 0, "x"), "holds no ckpt"),
        (make_id("cand", 0, "x"), "holds no training set"),
        ("../x", "is no snapshot"),
        ("loop/-1", "is no snapshot"),
    ],
)
def test_what_was_never_frozen_is_refused_in_one_line(
    filled: Lake, tmp_path: Path, what: str, why: str
) -> None:
    with pytest.raises((NotFound, BadInput), match=re.escape(why)) as refusal:
        export(filled, what, tmp_path / "out", "parquet")
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_the_card_tells_what_the_lake_holds(filled: Lake, tmp_path: Path) -> None:
    export(filled, MADE, tmp_path / "out", "datasets")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": FILES["datasets"]}]
    row = find_snapshot(filled, "loop")
    (seal,) = (json.loads(filled.store.get(e.name)) for e in filled.store.entries("seals"))
    assert seal["round"] == 0
    sealed = filled.store.digest("seals/loop/00000.json")
    for text_part in (row["snapshot_id"], row["content_hash"], sealed, "abc123", "rft", MADE, "0" * 64):
        assert text_part in text
    counted = query(filled, "SELECT count(*) AS n, count(DISTINCT prompt_id) AS p FROM examples").row(0)
    assert f"| {BASE} | answer | 0 | {counted[0]} | {counted[1]} |" in text
    assert "| correct | 8 | 6 | 2 |" in text
    assert "| correct | fail | 1 |" in text
    assert "| maths | 7 | rule | pass | 6 |" in text
    assert "seed: 3" in text


def test_text_of_a_model_makes_no_markup_in_the_card(filled: Lake, tmp_path: Path) -> None:
    export(filled, "loop", tmp_path / "out", "jsonl")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    fences = re.compile(r"^(`{3,})\n.*?^\1$", re.MULTILINE | re.DOTALL)
    outside = fences.sub("", text)
    assert "<script>" not in outside
    assert "<b>" not in outside
    assert "`" not in outside.replace("\\`", "")
    assert "# not a heading" not in re.findall(r"^# .*$", outside, re.MULTILINE)
    headings = re.findall(r"^#+ .*$", outside, re.MULTILINE)
    assert "# odd" not in headings
    assert len(headings) == 10
    assert all(c.isprintable() or c == "\n" for c in text)
    widths = {
        len(re.findall(r"(?<!\\)\|", line)) for line in outside.splitlines() if line.startswith("| corr")
    }
    assert widths == {5, 4}, "a cell is one cell"


def test_an_export_is_never_written_over(filled: Lake, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export(filled, "loop", out, "parquet")  # an empty folder is no loss
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for to in (out, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(BadInput, match="there already"):
            export(filled, "loop", to, "jsonl")
    for to, why in (
        (tmp_path / "no" / "out", "there is no folder"),
        (filled.root / "out", "lies in the lake"),
        (Path("s3://bucket/out"), "no folder of this machine"),
    ):
        with pytest.raises(BadInput, match=why):
            export(filled, "loop", to, "jsonl")
    with pytest.raises(BadInput, match="for JSONL"):
        export(filled, "loop", tmp_path / "chat", "parquet", chat=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", "file", "link"}


def test_a_snapshot_that_was_changed_is_not_exported(filled: Lake, tmp_path: Path) -> None:
    copy = Lake(shutil.copytree(filled.root, tmp_path / "lake"))
    folder = copy.place(find_snapshot(copy, "loop")["path"])
    rows = pl.read_parquet(folder / "examples.parquet")
    rows.with_columns(pl.col("response") + "x").write_parquet(folder / "examples.parquet")
    with pytest.raises(RatchetError, match=r"holds .* not snap-"):
        export(copy, "loop", tmp_path / "out", "parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_disk_that_takes_no_more_leaves_nothing(filled: Lake, tmp_path: Path, kind: Format) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    command = [sys.executable, "-m", "flows.cli", "export", "loop", "--to", str(tmp_path / "out")]
    command += ["--format", kind, "--lake", str(filled.root)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, preexec_fn=full
    )
    assert result.returncode == 1, result.stderr
    assert result.stderr.startswith("ratchet: ")
    assert result.stderr.count("\n") == 1
    assert "cannot be written" in result.stderr
    assert list(tmp_path.iterdir()) == []
