"""The lake's copies of models: each is there, and is the model that its name and the log say."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.errors import LogDamaged
from warehouse.delta.seals import SealedFile
from warehouse.lake import Lake
from warehouse.models.kept import ROOM, find_copy, is_model, read_list
from warehouse.query import read
from warehouse.verify.chain import Chains
from warehouse.verify.files import Advance
from warehouse.verify.findings import Findings


def files_of_models(lake: Lake, findings: Findings) -> Iterator[SealedFile]:
    """Every file that the list of a copy names, and the list itself."""
    for name in _lists(lake):
        try:
            data = read_list(lake, name)
        except (LogDamaged, OSError) as error:
            findings.damage(name, str(error))
            continue
        entry = lake.store.entry(name)
        if entry is not None:
            yield SealedFile(name, None, entry.size, lake.store.digest(name))
        yield from data.files


def check_models(lake: Lake, chains: Chains, findings: Findings, deep: bool, advance: Advance) -> None:
    """Every copy that a checkpoint names is there, and hashes to its name.

    Tensors are hashed again where no seal vouches for the list of files, and always with `deep`.
    """
    sealed = {file.name for chain in chains.values() for seal in chain for file in seal.artifacts}
    damaged = {finding.where for finding in findings.items if finding.kind == "damage"}
    with findings.noting("tables/checkpoints"):
        for row in read(lake, "checkpoints").to_dicts():
            reported = any(_is_of(row["path"], where) for where in damaged)
            named = row["path"].startswith(f"{ROOM}/") and not reported
            if named and find_copy(lake, row["content_hash"], row["files_hash"]) is None:
                findings.damage(row["path"], f"the model of {row['checkpoint_id']} is missing")
    for name in _lists(lake):
        folder = name.removesuffix(".json")
        if any(_is_of(folder, where) for where in damaged) or (name in sealed and not deep):
            continue
        copy = read_list(lake, name)
        if not is_model(lake.place(folder), copy.content_hash, copy.files_hash):
            findings.damage(folder, "does not hash to its name: it is not the model that the log names")
        advance(1)


def _is_of(folder: str, where: str) -> bool:
    """Whether a finding is about a copy, its list or a file in it: a name may be another's beginning."""
    return where in (folder, f"{folder}.json") or where.startswith(f"{folder}/")


def _lists(lake: Lake) -> list[str]:
    """The names of the lists of all copies."""
    names = [entry.name for entry in lake.store.entries(ROOM)]
    return [name for name in names if name.count("/") == 1 and name.endswith(".json")]
