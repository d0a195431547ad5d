"""What `ratchet check` prints: what was proved, what is to be known, and an example token by token."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.opening.checking import Checked, ConstitutionAsked, Files
from flows.opening.proof import Proof, Token
from flows.opening.table import admission_lines
from flows.round.progress import printable

MOST = 400  # tokens of an example that are shown
ENDS = 12  # of a longer one: so many at each end of each part


def proof_page(console: Console, checked: Checked) -> None:
    """The proof, line by line, then the example as a training sees it."""
    for name, line in _proved(checked.proof):
        console.print(
            f"[green]proved[/green]  [bold]{name}[/bold]: {escape(printable(line))}", soft_wrap=True
        )
    for remark in checked.proof.remarks:
        console.print(f"[yellow]know[/yellow]    {escape(printable(remark))}", soft_wrap=True)
    if checked.files is not None:
        _files(console, checked.files)
    if checked.constitution is not None:
        _constitution(console, checked.constitution)
    taught = sum(token.taught for token in checked.example)
    console.print(
        f"\none example as a training sees it: {len(checked.example)} tokens, {taught} of them taught, the "
        "others masked",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_example(checked.example))


def _constitution(console: Console, asked: ConstitutionAsked) -> None:
    """A constitution: what is in it, and how long its requests are."""
    lines = [
        "",
        f"constitution {asked.label}: {len(asked.principles)} principles ({', '.join(asked.principles)}), "
        f"{asked.shots} examples of critique and revision",
        f"asking by it takes up to {asked.longest_critique:,} tokens for a critique and "
        f"{asked.longest_revision:,} for a revision, with a short exchange",
    ]
    for line in lines:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _files(console: Console, files: Files) -> None:
    """What the files hold, what a loop would take of them, and what stands in its way."""
    lengths = files.lengths
    if files.lack is not None:
        console.print(f"[yellow]know[/yellow]    {escape(printable(files.lack))}", soft_wrap=True)
    lines = [
        "",
        *admission_lines(files.tallies),
        "",
        f"{lengths.prompts:,} prompts, {lengths.worked:,} of them with a worked answer; the longest has "
        f"{lengths.longest_prompt:,} tokens, {lengths.longest_example:,} with its answer",
    ]
    for line in lines:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _proved(proof: Proof) -> list[tuple[str, str]]:
    context = "no length of its own" if proof.context is None else f"a context of {proof.context:,} tokens"
    lines = [
        ("whole", f"{proof.architecture}, {proof.parameters:,} parameters, every tensor filled; {context}"),
        ("end", f"{proof.end_of_turn} (token {proof.end_id}) is taught, and ends generation"),
        ("prompt", "a training sees the tokens that generation asks"),
    ]
    if proof.drawing is not None:
        drawing = proof.drawing
        lines.append(
            (
                "answers",
                f"{drawing.answers} drawn, greedy and sampled, in rows of their own and shared: at most "
                f"{drawing.deviation:.1g} nats from plain passes",
            )
        )
    return [*lines, ("hash", f"weights {proof.weights_hash[:12]}, other files {proof.files_hash[:12]}")]


def _example(tokens: tuple[Token, ...]) -> Table:
    """A row a token: whether it is taught."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("place", "id"):
        table.add_column(name, justify="right")
    table.add_column("token", overflow="fold")
    table.add_column("")
    for place, token in _shown(tokens):
        if token is None:
            table.add_row("", "", "...", "")
            continue
        style = "bold green" if token.taught else "dim"
        text = escape(printable(repr(token.text)))
        table.add_row(str(place), str(token.id), text, "taught" if token.taught else "masked", style=style)
    return table


def _shown(tokens: tuple[Token, ...]) -> list[tuple[int, Token | None]]:
    """The tokens by place; of a long example both ends of prompt and answer, None where some are left out."""
    placed: list[tuple[int, Token | None]] = list(enumerate(tokens))
    if len(tokens) <= MOST:
        return placed
    start = next((i for i, token in enumerate(tokens) if token.taught), len(tokens))
    parts: list[tuple[int, Token | None]] = []
    for part in (placed[:start], placed[start:]):
        short = part if len(part) <= 2 * ENDS else [*part[:ENDS], (-1, None), *part[-ENDS:]]
        parts += short
    return parts
