"""Promises of the lake's copies of models: whole or not there, shared, verified, freed when not named."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import polars as pl
import pytest

from schemas.errors import LakeError, LogDamaged, ModelError
from schemas.identity import base_id
from schemas.units import Unit
from tests.warehouse.processes import process
from tutor import BASE
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.maintain import maintain
from warehouse.models import location
from warehouse.models.described import files_hash
from warehouse.models.kept import find_copy, folder_name, keep, read_list
from warehouse.models.tensors import weights_hash
from warehouse.store.fault import ask
from warehouse.verify.lake import verify_lake

HASHES = weights_hash(BASE), files_hash(BASE)
NAME = folder_name(*HASHES)
STEPS = ("keep: file copied#3", "keep: copied", "keep: listed")
"""The named steps of a copying; tests/warehouse/test_faults.py holds that none is left out."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake")


def opened(lake: Lake, loop: str, path: str) -> None:
    """A loop whose base lies at a path on record."""
    row = {
        "checkpoint_id": base_id(loop, *HASHES),
        "content_hash": HASHES[0],
        "files_hash": HASHES[1],
        "role": "policy",
        "path": path,
    }
    Log(lake).once(Unit(loop, 0, "base"), "checkpoints", lambda: pl.DataFrame([row]))


def findings(lake: Lake, deep: bool = False) -> list[tuple[str, str]]:
    return [(one.kind, one.where) for one in verify_lake(lake, deep=deep).items]


def taken_in(where: str, fault: str = "") -> None:
    ask(fault)
    keep(Lake(where), BASE, *HASHES)


@pytest.mark.parametrize("fault", [*STEPS, "rename"])
def test_a_copying_that_is_killed_leaves_no_model_and_is_done_again(lake: Lake, fault: str) -> None:
    killed = process(taken_in, lake.where, fault)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert (find_copy(lake, *HASHES) is None) == (fault != "keep: listed"), "whole once its list is there"
    assert all(kind == "leftover" for kind, _ in findings(lake))
    taken_in(lake.where)
    assert weights_hash(lake.place(NAME)) == HASHES[0]
    opened(lake, "ada", NAME)
    maintain(Log(lake), keep_hours=0, least_hours=0)
    assert lake.store.entries("spare") == []
    assert findings(lake, deep=True) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(lake: Lake) -> None:
    ask("keep: file copied#4=ENOSPC")
    try:
        with pytest.raises(LakeError, match=f"the model at {BASE} cannot be taken into the lake: No space"):
            keep(lake, BASE, *HASHES)
    finally:
        ask("")
    assert findings(lake) == []
    assert lake.store.entries("models") == lake.store.entries("spare") == []


@pytest.mark.parametrize("hurt", [".json", "/tokenizer.json", "/model.safetensors"])
def test_a_copy_that_is_not_whole_is_made_anew(lake: Lake, hurt: str) -> None:
    opened(lake, "ada", keep(lake, BASE, *HASHES))
    file = lake.root / f"{NAME}{hurt}"
    file.write_bytes(file.read_bytes()[:-9])
    assert findings(lake, deep=True) != []
    keep(lake, BASE, *HASHES)
    assert [kind for kind, _ in findings(lake, deep=True) if kind == "damage"] == []


def test_a_search_passes_over_folders_that_do_not_parse_and_hashes_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(BASE, tmp_path / "a" / "torn")
    (tmp_path / "a" / "torn" / "config.json").write_text("{")
    shutil.copytree(BASE, tmp_path / "b")
    hashed: list[Path] = []

    def counted(folder: Path) -> str:
        hashed.append(folder)
        return weights_hash(folder)

    monkeypatch.setattr(location, "weights_hash", counted)
    monkeypatch.setenv(location.SEARCHED, str(tmp_path))
    for _ in range(2):
        assert location.find_model(tmp_path / "gone", *HASHES) == tmp_path / "b"
        assert location.find_model(tmp_path / "gone", "f" * 64, None) is None
    assert len(hashed) == len(set(hashed))


def test_two_loops_share_a_copy_that_an_edit_of_the_original_does_not_reach(
    lake: Lake, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(BASE, tmp_path / "mine"))
    for loop in ("ada", "bob"):
        opened(lake, loop, keep(lake, source, *HASHES))
    (source / "config.json").write_text("{}")
    assert {entry.name.split("/")[1] for entry in lake.store.entries("models")} == {
        NAME[7:],
        f"{NAME[7:]}.json",
    }
    for loop in ("ada", "bob"):
        state = fold(lake, loop)
        assert state is not None
        assert files_hash(state.base.folder) == HASHES[1]
    with pytest.raises(ModelError, match="it was changed"):
        keep(Lake.create(tmp_path / "other"), source, *HASHES)
    assert findings(lake, deep=True) == []


def test_damage_to_a_copy_is_named_also_where_its_list_was_written_to_fit(lake: Lake) -> None:
    opened(lake, "ada", keep(lake, BASE, *HASHES))
    weights, list_name = f"{NAME}/model.safetensors", f"{NAME}.json"
    data = bytearray(lake.store.get(weights))
    data[-1] ^= 1
    lake.store.replace(weights, bytes(data))
    assert findings(lake) == [("damage", weights)]
    listed = json.loads(lake.store.get(list_name))
    listed["files"][weights][1] = lake.store.digest(weights)
    lake.store.replace(list_name, json.dumps(listed).encode())
    assert findings(lake) == [("damage", NAME)]
    keep(lake, BASE, *HASHES)  # a damaged copy is made anew
    assert findings(lake) == []
    lake.store.delete(list_name)
    assert ("damage", NAME) in findings(lake)


def test_a_list_that_names_files_elsewhere_is_refused(lake: Lake) -> None:
    keep(lake, BASE, *HASHES)
    listed = json.loads(lake.store.get(f"{NAME}.json"))
    listed["files"]["../../etc/passwd"] = [1, "0" * 64]
    lake.store.replace(f"{NAME}.json", json.dumps(listed).encode())
    with pytest.raises(LogDamaged, match="list of another model"):
        read_list(lake, f"{NAME}.json")


def test_what_no_checkpoint_names_is_freed_once_it_is_old(lake: Lake) -> None:
    keep(lake, BASE, *HASHES)
    assert maintain(Log(lake)).freed == []
    opened(lake, "ada", NAME)
    for entry in lake.store.entries("models"):
        os.utime(lake.root / entry.name, (0, 0))
    assert maintain(Log(lake)).freed == []
    other = Lake.create(lake.root.parent / "other")
    keep(other, BASE, *HASHES)
    for entry in other.store.entries("models"):
        os.utime(other.root / entry.name, (0, 0))
    assert len(maintain(Log(other), dry_run=True).freed) == len(other.store.entries("models"))
    keep(other, BASE, *HASHES)  # about to be named: it is young again
    assert maintain(Log(other)).freed == []
    for entry in other.store.entries("models"):
        os.utime(other.root / entry.name, (0, 0))
    maintain(Log(other))
    assert other.store.entries("models") == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "config.json",
            "generation_config.json",
            "chat_template.jinja",
            "additional_chat_templates/a.jinja",
        ),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "qwen.tiktoken"),
    ],
)
def test_each_file_that_decides_what_is_computed_changes_the_hash_of_files(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    hashes = [files_hash(tmp_path)]
    for data in (b"", b"a", b"b"):  # it comes, and is edited
        file.write_bytes(data)
        hashes.append(files_hash(tmp_path))
    assert len(set(hashes)) == 4
    (tmp_path / "README.md").write_text("a model card decides nothing")
    assert files_hash(tmp_path) == hashes[-1]
