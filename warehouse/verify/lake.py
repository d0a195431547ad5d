"""The whole lake: seals, tables, snapshots, trainings and models, and whatever lies there that should not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from schemas.errors import LakeError, RatchetError
from schemas.tables import FORMAT, TABLES
from warehouse.artifacts import listed
from warehouse.delta.seals import SealedFile
from warehouse.lake import Lake
from warehouse.query import read
from warehouse.seal import unsealed
from warehouse.store.durable import left_behind
from warehouse.verify.chain import Chains, check_anchors, read_chains
from warehouse.verify.deep import check_facts
from warehouse.verify.files import Advance, check_bytes
from warehouse.verify.findings import Findings
from warehouse.verify.models import check_models, files_of_models
from warehouse.verify.tables import TableStory, check_table

ROOMS = ("tables", "snapshots", "trainings", "models", "seals", "heads", "locks", "spare", "lake.json")

ARTIFACTS = ("snapshots", "trainings", "models")

Begin = Callable[[str], Advance]


def verify_lake(lake: Lake, *, deep: bool = False, begin: Begin = lambda _: lambda _: None) -> Findings:
    """Compare every file of the lake with what the log and the seals say of it; with `deep`, also every fact
    with the facts it rests on. `begin` is called with each part's name and returns its progress callback.

    LakeError where this user may not read a file, which says nothing of the lake.
    """
    try:
        return _compared(lake, deep, begin)
    except PermissionError as error:
        raise LakeError(
            f"{error.filename or lake.where} may not be read by this user: nothing can be said of the lake"
        ) from None


def _compared(lake: Lake, deep: bool, begin: Begin) -> Findings:
    findings = Findings()
    if lake.store.get("lake.json") != json.dumps({"format": FORMAT}).encode() + b"\n":
        findings.damage("lake.json", "was changed")
    chains = read_chains(lake, findings)
    seals = [seal for chain in chains.values() for seal in chain]
    stories = {name: check_table(lake, name, seals, findings, begin(name), deep=deep) for name in TABLES}
    findings.empty = not any(story.hashes for story in stories.values())
    check_anchors(lake, chains, stories["rounds"], findings)
    _check_artifacts(lake, chains, findings, begin("snapshots, trainings and models"))
    _check_strangers(lake, findings)
    check_models(lake, chains, findings, deep, begin("contents of models"))
    if findings.clean:
        _check_open(lake, stories, findings)
        if deep:
            check_facts(lake, findings, begin)
    findings.items.sort()
    return findings


def _check_artifacts(lake: Lake, chains: Chains, findings: Findings, advance: Advance) -> None:
    """Files of snapshots, trainings, models: those that seals, facts and lists name are there to the byte."""
    files: dict[str, SealedFile] = {}
    with findings.noting("tables"):
        files |= {file.name: file for file in _of_facts(lake)}
    files |= {file.name: file for file in files_of_models(lake, findings)}
    files |= {file.name: file for chain in chains.values() for seal in chain for file in seal.artifacts}
    closed = {_artifact(file.name) for chain in chains.values() for seal in chain for file in seal.artifacts}
    there = {entry.name: entry for room in ARTIFACTS for entry in lake.store.entries(room)}
    for file in files.values():
        findings.files += 1
        findings.size += file.size
        problem = check_bytes(lake, file, there.get(file.name))
        if problem:
            findings.damage(file.name, problem)
        advance(1)
    for name in sorted(there.keys() - files.keys()):
        if left_behind(name):
            findings.leftover(name, "left by a writer that was killed")
        elif _artifact(name) in closed:
            findings.damage(name, "does not belong to what was sealed")
        else:
            findings.leftover(name, "no fact names it: a round under way, or one that was killed")


def _of_facts(lake: Lake) -> Iterator[SealedFile]:
    """Files that rows of `snapshots` and `trainings` name."""
    for table in ("snapshots", "trainings"):
        for text in read(lake, table)["files"]:
            yield from listed(text)


def _artifact(name: str) -> str:
    """The folder of a snapshot, a training or a model, from a file's name."""
    return "/".join(name.split("/")[:2])


def _check_strangers(lake: Lake, findings: Findings) -> None:
    """Files in rooms that the lake does not have."""
    tables = set(TABLES)
    for entry in lake.store.entries(""):
        parts = entry.name.split("/")
        if parts[0].startswith(".lake.json."):
            findings.leftover(entry.name, "left by a writer that was killed")
        elif len(parts) == 1 and parts[0] in ROOMS and parts[0] != "lake.json":
            findings.damage(entry.name, "is a file or a link where the lake has a folder")
        elif parts[0] not in ROOMS or (parts[0] == "tables" and parts[1] not in tables):
            findings.damage(entry.name, "does not belong to the lake")


def _check_open(lake: Lake, stories: Mapping[str, TableStory], findings: Findings) -> None:
    """Closed rounds that wait for their seal."""
    loops = {key.split("/")[0] for key in stories["rounds"].units}
    for loop in sorted(loops):
        try:
            waiting = unsealed(lake, loop)
        except RatchetError as error:
            findings.damage(f"loop {loop}", str(error))
            continue
        for number in waiting:
            findings.leftover(f"seals/{loop}/{number:05d}.json", "the round is closed and not sealed yet")
