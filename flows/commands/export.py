"""`ratchet export`: a training set for others."""

from __future__ import annotations

from pathlib import Path

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json
from flows.round.progress import printable
from warehouse.lake import Lake
from warehouse.share.export import FILES, Format
from warehouse.share.export import export as exported


@click.command()
@click.argument("what", metavar="WHAT")
@click.option("--to", required=True, type=click.Path(path_type=Path), help="A folder that is not there yet.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(FILES)),
    default="parquet",
    show_default=True,
    help="datasets: a folder for Hugging Face's load_dataset.",
)
@click.option("--chat", is_flag=True, help='JSONL rows as {"messages": [...]}.')
@lake_option
@json_option
@one_line_errors
def export(what: str, to: Path, kind: Format, chat: bool, lake: str, as_json: bool) -> None:
    """Write a training set, with a card that tells its lineage, into a folder of its own.

    WHAT is a snapshot (snap-...), a checkpoint that was trained on one (ckpt-...), LOOP (its newest), or
    LOOP/ROUND. Rows are read back and hashed before the folder takes its name; nothing is written over.
    """
    result = exported(Lake(lake), what, to, kind, chat=chat)
    if as_json:
        print_json(
            {
                "folder": str(result.folder),
                "file": FILES[result.format],
                "format": result.format,
                "snapshot_id": result.snapshot_id,
                "loop": result.loop,
                "round": result.round,
                "rows": result.rows,
                "content_hash": result.content_hash,
                "rows_hash_to_it": result.whole,
            }
        )
        return
    click.echo(printable(f"{result.rows:,} examples of {result.snapshot_id} are in {result.folder}"))
    click.echo(
        f"content hash {result.content_hash}" + ("" if result.whole else " (of the snapshot's own columns)")
    )
