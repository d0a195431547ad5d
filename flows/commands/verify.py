"""`ratchet verify`: is the lake what was written?"""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, progress_on
from flows.round.progress import Advance, printable, reporter
from warehouse.lake import Lake
from warehouse.verify.chain import read_chains
from warehouse.verify.findings import Findings
from warehouse.verify.lake import verify_lake as checked


@click.command()
@click.option("--deep", is_flag=True, help="Also hold facts against facts: ids, references, snapshots.")
@click.option(
    "--seal",
    "expected",
    multiple=True,
    metavar="HASH",
    help="A seal's hash that you kept elsewhere: it must still stand in a chain. May be repeated.",
)
@lake_option
@json_option
@one_line_errors
def verify(deep: bool, expected: tuple[str, ...], lake: str, as_json: bool) -> None:
    """Check every file of the lake against the log and the seals, and say what is wrong and where.

    Exit code 0: every fact is there and unchanged. 1: damage, each on a line of its own. What killed
    writers left behind is named too, and so are retired files (compacted away, and not freed yet by `ratchet
    maintain`) that were changed: no fact is lost with either, and the exit code stays 0.
    """
    opened, start = Lake(lake), time.monotonic()
    with progress_on(Console(stderr=True, emoji=False)):
        findings = checked(opened, deep=deep, begin=_begin)
        if findings.empty:  # a first writer that was killed leaves this too: a person has to tell
            findings.damage("tables", "no fact is there: none was ever recorded, or all are gone")
        chains = _heads(opened, findings, expected)
    if as_json:
        print_json(_as_json(findings, chains))
    else:
        _print(findings, chains, time.monotonic() - start)
    if not findings.clean:
        sys.exit(1)


def _begin(label: str) -> Advance:
    return reporter().begin(f"verify {label}", None, "done")


def _heads(lake: Lake, findings: Findings, expected: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """The newest seal of each loop; a hash that was expected and stands nowhere is damage."""
    chains = read_chains(lake, Findings())
    hashes = {seal.sha256 for chain in chains.values() for seal in chain}
    for sha256 in expected:
        if not any(one.startswith(sha256) for one in hashes) or len(sha256) < 8:
            findings.damage("seals", f"no seal hashes to {sha256}")
    return {loop: {"round": chain[-1].round, "seal": chain[-1].sha256} for loop, chain in chains.items()}


def _as_json(findings: Findings, chains: dict[str, dict[str, object]]) -> dict[str, object]:
    items = [{"kind": f.kind, "where": f.where, "what": f.what} for f in findings.items]
    return {
        "clean": findings.clean,
        "files": findings.files,
        "bytes": findings.size,
        "seals": chains,
        "findings": items,
    }


def _print(findings: Findings, chains: dict[str, dict[str, object]], seconds: float) -> None:
    for finding in findings.items:
        click.echo(printable(f"{finding.kind}: {finding.where}: {finding.what}"))
    for loop, head in chains.items():
        click.echo(f"loop {loop} is sealed up to round {head['round']}: {head['seal']}")
    damaged = sum(finding.kind == "damage" for finding in findings.items)
    verdict = "clean" if findings.clean else f"{damaged} damaged"
    if retired := sum(finding.kind == "retired" for finding in findings.items):
        verdict += f", {retired} notes on retired files"
    click.echo(f"{verdict}: {findings.files:,} files, {findings.size / 1e6:,.1f} MB in {seconds:.1f} s")
