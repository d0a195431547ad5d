"""The seals of every loop: each parses, names the one before it, and is the one the log has on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.errors import LogDamaged
from warehouse.delta.seals import Seal, parse_seal, seal_name
from warehouse.lake import Lake
from warehouse.verify.findings import Findings
from warehouse.verify.tables import TableStory

Chains = Mapping[str, Sequence[Seal]]


def read_chains(lake: Lake, findings: Findings) -> dict[str, list[Seal]]:
    """The seals that parse, by loop in order of round; links and gaps checked."""
    chains: dict[str, list[Seal]] = {}
    for entry in lake.store.entries("seals"):
        findings.files += 1
        findings.size += entry.size
        loop = entry.name.split("/")[1]  # a stray file gives its own name, and does not parse
        if entry.name.rpartition("/")[2].startswith("."):
            findings.leftover(entry.name, "left by a writer that was killed")
            continue
        try:
            seal = parse_seal(entry.name, lake.store.get(entry.name))
        except PermissionError:
            raise
        except (LogDamaged, OSError) as error:
            findings.damage(entry.name, str(error))
            continue
        chains.setdefault(loop, []).append(seal)
    for loop, seals in chains.items():
        seals.sort(key=lambda seal: seal.round)
        _check_links(loop, seals, findings)
    return chains


def check_anchors(lake: Lake, chains: Chains, rounds: TableStory, findings: Findings) -> None:
    """Every seal is on record in the log with its hash, and every seal on record is there."""
    recorded = {(anchor["loop"], anchor["round"]): anchor["sha256"] for anchor in rounds.anchors}
    by_place = {(seal.loop, seal.round): seal for seals in chains.values() for seal in seals}
    damaged = {finding.where for finding in findings.items}
    for (loop, number), sha256 in recorded.items():
        seal = by_place.get((loop, number))
        name = seal_name(loop, number)
        if seal is None and name not in damaged and lake.store.entry(name) is None:
            findings.damage(name, "the seal is missing; the log has it on record")
        elif seal is not None and seal.sha256 != sha256:
            findings.damage(name, f"the seal was rewritten: the log has {sha256[:12]} on record")
    for loop, number in by_place.keys() - recorded.keys():
        findings.leftover(
            seal_name(loop, number), "the seal is not on record yet: `ratchet maintain` puts it there"
        )


def _check_links(loop: str, seals: Sequence[Seal], findings: Findings) -> None:
    before: Seal | None = None
    for seal in seals:
        name = seal_name(loop, seal.round)
        number = 0 if before is None else before.round + 1
        if seal.round != number:
            for missing in range(number, seal.round):
                if seal_name(loop, missing) not in {finding.where for finding in findings.items}:
                    findings.damage(seal_name(loop, missing), "the seal is missing")
        elif seal.previous != (None if before is None else before.sha256):
            predecessor = "no seal" if seal.previous is None else f"seal {seal.previous[:12]}"
            findings.damage(
                name, f"the chain is broken: it names {predecessor} before it; one of the two was rewritten"
            )
        before = seal
