"""The command line: every command of `flows/commands` under one name."""

from __future__ import annotations

import click

from flows.commands.calibrate import calibrate
from flows.commands.check import check
from flows.commands.export import export
from flows.commands.grade import grade
from flows.commands.maintain import maintain
from flows.commands.run import run
from flows.commands.sql import sql
from flows.commands.status import status
from flows.commands.trace import trace
from flows.commands.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ratchet")
def main() -> None:
    """Self-improvement rounds for language models, with every fact kept in a lake.

    \b
    ratchet run rft --rounds 3      three rounds of rejection-sampling fine-tuning on the tutor
    ratchet status                  what each round did
    ratchet sql "FROM funnel"       ask the lake
    ratchet trace ID                the story of a checkpoint or of a candidate
    ratchet export LOOP --to DIR    a training set for others, with its lineage
    ratchet verify                  is the lake what was written?
    ratchet maintain                seal closed rounds, free what nothing needs
    ratchet grade maths             a verifier on its own: JSONL in, a verdict a line out
    ratchet calibrate               how far can a judge be trusted?
    ratchet check MODEL             can this model be trained, and what would a training see?
    """


for command in (run, status, sql, trace, export, verify, maintain, grade, calibrate, check):
    main.add_command(command)


if __name__ == "__main__":
    main()
