"""The command line: every command of `flows/commands` under one name, loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "run": ("run rft --rounds 3", "three rounds of rejection-sampling fine-tuning on the tutor"),
    "status": ("status", "what each round did"),
    "sql": ('sql "FROM funnel"', "ask the lake"),
    "trace": ("trace ID", "what any row descends from; a checkpoint's story, a candidate's life"),
    "impact": ("impact ID", "what something reached: texts, snapshots, checkpoints, evaluations"),
    "retract": ("retract ID --why TEXT", "take something back: later freezes leave it out"),
    "replay": ("replay CHECKPOINT", "the same weights again, from the lake alone?"),
    "export": ("export LOOP --to DIR", "a training set for others, with its lineage"),
    "verify": ("verify", "is the lake what was written?"),
    "maintain": ("maintain", "seal closed rounds, free what nothing needs"),
    "grade": ("grade maths", "a verifier on its own: JSONL in, a verdict a line out"),
    "calibrate": ("calibrate", "how far can a judge be trusted?"),
    "check": ("check MODEL", "can this model be trained, and what would a training see?"),
}
"""The commands, each in its module of `flows/commands`: an example, and what it does."""


class _Lazy(click.Group):
    """A group whose help needs no command's libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        return command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """An example of each command and what it does."""
        with formatter.section("Commands"):
            formatter.write_dl([(f"ratchet {example}", does) for example, does in COMMANDS.values()])


def command(name: str) -> click.Command:
    """A command by its name, loaded."""
    found = getattr(import_module(f"flows.commands.{name}"), name)
    assert isinstance(found, click.Command)
    return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ratchet")
def main() -> None:
    """Self-improvement rounds for language models, with every fact kept in a lake.

    `ratchet COMMAND --help` says what a command takes.
    """


if __name__ == "__main__":
    main()
