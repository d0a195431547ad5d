"""Promises of `verify`: no file of the lake can be changed, cut, lost or added unseen, and it is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.cli import main
from schemas.errors import LakeError, LogDamaged, RatchetError
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from tests.warehouse.damage import changed, damaged, flips
from tests.warehouse.story import play
from warehouse.delta.heads import head_name
from warehouse.delta.seals import Seal, SealedFile, parse_seal, seal_name
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.seal import seal_rounds
from warehouse.store.folder import Folder
from warehouse.verify import files
from warehouse.verify.chain import check_anchors, read_chains
from warehouse.verify.findings import Findings
from warehouse.verify.lake import verify_lake
from warehouse.verify.tables import check_table

SEED = 20260101
NOTES = ("heads", "locks", "spare")  # what these say decides nothing and can be told anew
CLASSES = {
    "marker": "lake.json",
    "entry": "tables/prompts/_delta_log/*.json",
    "newest entry": "tables/rounds/_delta_log/*22.json",
    "pointer": "tables/trainings/_delta_log/_last_checkpoint",
    "checkpoint": "tables/candidates/_delta_log/*.checkpoint.parquet",
    "rows": "tables/scores/loop=ada/round=2/part-*.parquet",
    "rows that name files": "tables/snapshots/loop=ada/round=2/part-*.parquet",
    "sealed rows": "tables/scores/loop=ada/round=0/sealed-*.parquet",
    "older seal": "seals/ada/00000.json",
    "newest seal": "seals/bob/00001.json",
    "examples": "snapshots/snap-00000-*/examples.parquet",
    "manifest": "snapshots/snap-00002-*/manifest.json",
    "weights": "trainings/train-00001-*/checkpoint/model.safetensors",
    "result": "trainings/train-00002-*/result.json",
}


def one_of(lake: Lake, pattern: str) -> str:
    """The last file of a class."""
    return sorted(path.relative_to(lake.root).as_posix() for path in lake.root.glob(pattern))[-1]


def named(lake: Lake) -> set[str]:
    """What is called damaged; a lake that does not open says which file is why."""
    try:
        return damaged(verify_lake(Lake(lake.root)))
    except RatchetError as error:
        return {"lake.json"} if "lake.json" in str(error) or "schema version" in str(error) else set()


def test_an_untouched_lake_is_clean_wherever_it_lies(full: Lake, told: Path) -> None:
    for root in (told, full.root):
        assert verify_lake(Lake(root), deep=True).items == []


@pytest.mark.parametrize("kind", CLASSES)
def test_a_file_of_any_class_is_missed_when_cut_lost_emptied_or_exchanged(full: Lake, kind: str) -> None:
    name = one_of(full, CLASSES[kind])
    path = full.root / name
    data = path.read_bytes()
    others = [p.read_bytes() for p in sorted(path.parent.glob(f"*{path.suffix}")) if p != path]
    for wrong in (data[:-1], b"", data + b"\n", *others[:1]):
        with changed(path, wrong):
            assert name in named(full), (name, len(wrong))
    if kind != "marker":
        with changed(path, None):
            names = {name.rpartition("/")[0] if kind == "pointer" else name}
            assert any(where.startswith(next(iter(names))) for where in named(full)), name
    assert named(full) == set()


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if "seal" not in kind or "rows" in kind])
def test_a_turned_bit_in_a_file_of_any_class_is_found(full: Lake, kind: str) -> None:
    name = one_of(full, CLASSES[kind])
    path = full.root / name
    for wrong in flips(path.read_bytes(), 8, SEED):
        with changed(path, wrong):
            assert name in named(full)


@pytest.mark.parametrize("table", ["prompts", "audits"])
def test_a_turned_bit_in_any_log_entry_is_found(full: Lake, table: str) -> None:
    seals = [seal for chain in read_chains(full, Findings()).values() for seal in chain]
    folder = full.root / full.log(table)
    for path in [*sorted(folder.glob("*.json")), *folder.glob("_last_checkpoint")]:
        name = path.relative_to(full.root).as_posix()
        data = path.read_bytes()
        for wrong in flips(data, 12, SEED):
            with changed(path, wrong):
                findings = Findings()
                check_table(full, table, seals, findings, lambda _: None)
                assert name in damaged(findings), (name, wrong)


def test_every_byte_of_an_entry_of_a_young_log_counts(log: Log) -> None:
    """Of the first entry, which nothing but later ones vouch for, of one with facts, and of the newest."""
    for shard in range(2):
        unit = Unit("ada", 0, "admit", shard)
        log.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
    lake, every = log.lake, (40, 10**6, 40)
    for path, most in zip(sorted((lake.root / lake.log("prompts")).glob("*.json")), every, strict=True):
        name = path.relative_to(lake.root).as_posix()
        for wrong in flips(path.read_bytes(), most, SEED):
            with changed(path, wrong):
                findings = Findings()
                check_table(lake, "prompts", [], findings, lambda _: None)
                assert name in damaged(findings), (name, wrong)


def test_a_turned_bit_in_any_seal_is_found(full: Lake) -> None:
    rounds = check_table(full, "rounds", [], Findings(), lambda _: None)
    for path in sorted((full.root / "seals").rglob("*.json")):
        data = path.read_bytes()
        for wrong in flips(data, 80, SEED):
            with changed(path, wrong):
                findings = Findings()
                check_anchors(full, read_chains(full, findings), rounds, findings)
                assert path.relative_to(full.root).as_posix() in damaged(findings)


def test_every_byte_of_the_newest_seal_is_in_its_hash_or_in_its_form(full: Lake) -> None:
    name = seal_name("ada", 1)
    data = (full.root / name).read_bytes()
    for wrong in flips(data, len(data), SEED):
        try:
            assert parse_seal(name, wrong).sha256 != parse_seal(name, data).sha256
        except LogDamaged:
            continue


def test_every_file_of_the_lake_is_missed(full: Lake) -> None:
    retired = {entry.name for entry in full.store.entries("tables")} - _needed(full)
    notes = {entry.name for room in NOTES for entry in full.store.entries(room)}
    expected = {entry.name for entry in full.store.entries("")} - retired - notes - {"lake.json"}
    tables = sorted(name for name in expected if name.startswith("tables/"))
    for group in (*(tables[first::12] for first in range(12)), sorted(expected - set(tables))):
        with ExitStack() as lost:
            for name in group:
                lost.enter_context(changed(full.root / name, None))
            assert set(group) <= named(full)
    assert named(full) == set()


def _needed(lake: Lake) -> set[str]:
    """Files of tables that hold rows now, and their logs."""
    files = [Path(file) for table in lake.versions() for file in lake.files(table)]
    names = {file.relative_to(lake.root).as_posix() for file in files}
    return names | {entry.name for entry in lake.store.entries("tables") if "/_delta_log/" in entry.name}


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "more/notes.txt",
        "tables/prompts/notes.parquet",
        "tables/prompts/_delta_log/notes.json",
        "tables/prompts/loop=ada/round=0/part-1.parquet",
        "tables/orders/part-1.parquet",
        "seals/ada/notes.json",
        "seals/ada/00002.json",
    ],
)
def test_a_file_that_does_not_belong_is_named_and_left(full: Lake, name: str) -> None:
    path = full.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    assert named(full) == {name}
    assert path.exists()


@pytest.mark.parametrize("room", ["snapshots", "trainings"])
def test_a_file_added_to_what_is_sealed_is_damage_and_beside_it_a_leftover(full: Lake, room: str) -> None:
    sealed = next(path for path in sorted((full.root / room).iterdir()) if "-00000-" in path.name)
    (sealed / "more.json").write_text("{}")
    assert named(full) == {f"{room}/{sealed.name}/more.json"}
    (sealed / "more.json").unlink()
    (full.root / room / "new").mkdir()
    (full.root / room / "new" / "part.json").write_text("{}")
    findings = verify_lake(full)
    assert findings.clean
    assert [finding.where for finding in findings.items] == [f"{room}/new/part.json"]


def _edits(lines: list[dict[str, dict[str, object]]]) -> Iterator[list[dict[str, dict[str, object]]]]:
    """Valid entries that say something else: an action is gone, doubled, or another."""
    for number, line in enumerate(lines):
        kind = next(iter(line))
        if kind == "commitInfo":
            continue
        yield lines[:number] + lines[number + 1 :]
        for key, value in (("size", 1), ("path", "loop=ada/round=0/other.parquet"), ("version", 7)):
            if key in line[kind]:
                yield [*lines[:number], {kind: {**line[kind], key: value}}, *lines[number + 1 :]]


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("noted", [True, False])
def test_an_edited_log_entry_is_named_though_its_json_is_valid(full: Lake, newest: bool, noted: bool) -> None:
    """Without its head, the newest entry is held against its own description."""
    if not noted:
        shutil.rmtree(full.root / "heads")
    seals = [seal for chain in read_chains(full, Findings()).values() for seal in chain]
    entries = sorted((full.root / full.log("candidates")).glob("*.json"))
    for path in entries[-1:] if newest else entries[1:-1]:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for edit in _edits(lines):
            with changed(path, "\n".join(map(json.dumps, edit)).encode()):
                findings = Findings()
                check_table(full, "candidates", seals, findings, lambda _: None)
                assert path.relative_to(full.root).as_posix() in damaged(findings), edit


@pytest.mark.parametrize("count", [1, 2, 5])
def test_entries_removed_from_the_end_of_a_log_are_missed(full: Lake, count: int) -> None:
    for table in ("prompts", "rounds", "audits"):
        entries = sorted((full.root / full.log(table)).glob("*.json"))
        for path in entries[-count:]:
            path.unlink()
        assert f"{full.log(table)}/{entries[-1].name}" in named(full)


def test_a_table_that_is_gone_altogether_is_missed(full: Lake) -> None:
    shutil.rmtree(full.root / "tables" / "audits")
    shutil.rmtree(full.root / "seals")
    assert any("tables/audits" in where for where in named(full))


def _rewritten(seal: Seal) -> Iterator[Seal]:
    """Seals of valid form that say something else."""
    yield replace(seal, sealed_at="2020-01-01T00:00:00+00:00")
    yield replace(seal, artifacts=seal.artifacts[1:])
    yield replace(seal, artifacts=(*seal.artifacts, SealedFile("snapshots/x/y", None, 0, "0" * 64)))
    yield replace(seal, previous="0" * 64)
    scores = seal.tables["scores"]
    for change in ({"rows": 0, "files": ()}, {"units": ()}, {"log": "0" * 64}, {"version": 1}):
        yield replace(seal, tables={**seal.tables, "scores": replace(scores, **change)})  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 1])
def test_a_seal_rewritten_in_valid_form_no_longer_fits_the_log(full: Lake, number: int) -> None:
    name = seal_name("ada", number)
    path = full.root / name
    for wrong in _rewritten(parse_seal(name, path.read_bytes())):
        with changed(path, wrong.data):
            assert name in named(full)


def test_a_chain_rewritten_from_end_to_end_no_longer_fits_the_log(full: Lake) -> None:
    before: Seal | None = None
    for number in range(2):
        name = seal_name("ada", number)
        seal = parse_seal(name, (full.root / name).read_bytes())
        link = None if before is None else before.sha256
        before = replace(seal, sealed_at="2020-01-01T00:00:00+00:00", previous=link)
        (full.root / name).write_bytes(before.data)
    assert {seal_name("ada", 0), seal_name("ada", 1)} <= named(full)


def _empty_seals(root: Path) -> str:
    for path in (root / "seals" / "bob").iterdir():
        path.write_bytes(b"")
    return seal_name("bob", 0)


def _stray_seal(root: Path) -> str:
    (root / "seals" / "notes.txt").write_text("mine")
    return "seals/notes.txt"


def _swapped_seals(root: Path) -> str:
    seals = root / "seals"
    (seals / "ada").rename(seals / "spare")
    (seals / "bob").rename(seals / "ada")
    (seals / "spare").rename(seals / "bob")
    return seal_name("ada", 0)


def _linked_tables(root: Path) -> str:
    (root / "tables").rename(root.parent / "elsewhere")
    (root / "tables").symlink_to(root.parent / "elsewhere")
    return "tables"


def _file_for_a_folder(root: Path) -> str:
    shutil.rmtree(root / "seals")
    (root / "seals").write_text("mine")
    return "seals"


def _gutted(root: Path) -> str:
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return "tables"


@pytest.mark.parametrize(
    "harm", [_empty_seals, _stray_seal, _swapped_seals, _linked_tables, _file_for_a_folder, _gutted]
)
def test_whatever_lies_where_seals_and_tables_should_is_a_finding(
    full: Lake, harm: Callable[[Path], str]
) -> None:
    where = harm(full.root)
    assert where in named(full) or harm is _gutted
    result = CliRunner().invoke(main, ["verify", "--lake", str(full.root), "--json"])
    assert result.exit_code == 1
    assert where in {one["where"] for one in json.loads(result.stdout)["findings"]}


def test_a_file_that_this_user_may_not_read_is_no_damage(full: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    read_whole = Folder.get

    def refused(self: Folder, name: str) -> str:
        raise PermissionError(13, "Permission denied", name)

    def without_seals(self: Folder, name: str) -> bytes:
        return refused(self, name).encode() if name.startswith("seals/") else read_whole(self, name)

    for method, replacement in (("digest", refused), ("get", without_seals)):
        with monkeypatch.context() as patch:
            patch.setattr(Folder, method, replacement)
            with pytest.raises(LakeError, match="may not be read by this user"):
                verify_lake(full)


def test_whoever_may_read_the_lake_may_read_all_of_it(full: Lake) -> None:
    """Libraries write some files for their owner alone: they get the mode of any new file."""
    plain = full.root / "plain"
    plain.write_bytes(b"")
    modes = {path: path.stat().st_mode for path in full.root.rglob("*") if path.is_file()}
    assert {path.name for path, mode in modes.items() if mode != plain.stat().st_mode} == set()
    assert any(path.name.startswith("sealed-") for path in modes)


def test_nothing_is_sealed_upon_a_seal_that_was_rewritten(full: Lake) -> None:
    play(Log(full), "ada", 2)
    name = seal_name("ada", 1)
    path = full.root / name
    for wrong in _rewritten(parse_seal(name, path.read_bytes())):
        with changed(path, wrong.data), pytest.raises(LogDamaged, match="nothing is sealed upon it"):
            seal_rounds(Log(full), "ada")
    assert [seal.round for seal in seal_rounds(Log(full), "ada")] == [2]
    assert verify_lake(full).clean


@pytest.mark.parametrize("wrong", [None, b"", b"{}", b"\xff\x00"])
def test_damage_to_a_note_does_no_harm(full: Lake, wrong: bytes | None) -> None:
    """Heads and locks are notes: what they say decides nothing and is told anew."""
    for entry in full.store.entries("heads") + full.store.entries("locks"):
        path = full.root / entry.name
        path.unlink() if wrong is None else path.write_bytes(wrong)
    assert verify_lake(full, deep=True).items == []


def test_a_head_from_before_is_not_held_against_the_log(full: Lake, told: Path) -> None:
    play(Log(full), "ada", 2)
    shutil.copy(told / head_name(full.log("rounds")), full.root / "heads")
    assert verify_lake(full).clean


def test_a_retired_file_that_was_changed_is_named_and_no_fact_is_lost(full: Lake, monkeypatch: Any) -> None:
    names = {entry.name for entry in full.store.entries("tables") if "part-" in entry.name} - _needed(full)
    name = max(names, key=lambda one: ((full.root / one).stat().st_size, one))
    data = (full.root / name).read_bytes()
    for wrong in (*flips(data, 2, SEED), data[:-1]):
        with changed(full.root / name, wrong):
            findings = verify_lake(full)
            assert [(one.kind, one.where) for one in findings.items] == [("retired", name)]
            assert findings.clean
    with changed(full.root / name, None):  # as when `maintain` has freed it
        assert verify_lake(full).items == []
    monkeypatch.setattr(files, "SPARE", 0)
    with changed(full.root / name, next(flips(data, 1, SEED))):
        assert {one.kind for one in verify_lake(full).items} == {"retired"}
        assert all("were not read" in one.what for one in verify_lake(full).items)
        assert [one.where for one in verify_lake(full, deep=True).items] == [name]
