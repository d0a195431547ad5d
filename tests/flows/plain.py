"""The command line whose nights run without Prefect, their steps as plain functions: for tests of rounds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from flows import cli, nightly
from flows.commands import prefect_server


def main(arguments: Sequence[str]) -> None:
    """`ratchet`, in a process of its own."""
    nightly.night = nightly.night.fn  # type: ignore[assignment]
    prefect_server.prefect_server = lambda: nullcontext(lambda: None)  # type: ignore[assignment]
    cli.main(arguments)
