"""An ancestry as people read it: a tree in the terminal, a graph for Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from flows.round.progress import printable

LONGEST = 100  # characters of a text that a line shows
Fact = dict[str, Any]


def ancestry_tree(console: Console, told: Fact) -> None:
    """Every section as a tree, then what all this began with.

    Each kind of rows stands once, under what it went into most directly: `--json` and `--dot` have every
    link.
    """
    for section in told["sections"]:
        for depth, line in section_lines(section):
            console.print("  " * depth + printable(line), markup=False, highlight=False, soft_wrap=True)
    for line in source_lines(told):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def section_lines(section: Fact) -> Iterator[tuple[int, str]]:
    """A section's lines, each with its depth."""
    nodes = {(node["table"], node["key"]): node for node in section["nodes"]}
    first = next((node for node in nodes if node[1] == section["id"]), None)
    if first is None:  # an example's id names a row of each snapshot that holds it
        yield 0, section["id"]
    own = begins(section)
    for one in (node for node in nodes if node[1] in own):
        yield from _below(one, spanning(section), nodes, section, 0 if first else 1, None)
    if not section["whole"]:
        yield 1, "(told by what its snapshots say of themselves: --all walks every row)"


def _below(
    at: tuple[str, str],
    tree: Mapping[str, list[Fact]],
    nodes: Mapping[tuple[str, str], Fact],
    section: Fact,
    depth: int,
    edge: Fact | None,
) -> Iterator[tuple[int, str]]:
    node = nodes[at]
    link = f"{link_words(edge['link'])}: {share(edge, node)}" if edge else ""
    elsewhere = node["table"] == "checkpoints" and at[1] != section["id"]
    yield depth, f"{link}{described(node)}{', told by itself' if elsewhere else ''}"
    for further in () if elsewhere else tree.get(at[1], ()):
        under = next(one for one in nodes if one[1] == further["parent"])
        yield from _below(under, tree, nodes, section, depth + 1, further)


def begins(section: Fact) -> list[str]:
    """The keys of the rows that a section is of: an answer's rollout has its id too, and so has an example in
    each snapshot.
    """
    keys = [node["key"] for node in section["nodes"] if node["count"] == 1]
    return [key for key in keys if re.split("[ /]", key)[-1] == section["id"]]


def spanning(section: Fact) -> dict[str, list[Fact]]:
    """The edges by which each node is come to first, by child; a checkpoint once by every kind of link."""
    first = begins(section)
    checkpoints = {node["key"] for node in section["nodes"] if node["table"] == "checkpoints"}
    by_child: dict[str, list[Fact]] = {}
    for edge in section["edges"]:
        by_child.setdefault(edge["child"], []).append(edge)
    seen: set[Any] = set(first)
    queue, tree = list(first), dict[str, list[Fact]]()
    for at in queue:
        for edge in by_child.get(at, ()):
            to = edge["parent"]
            once = (edge["link"], to) if to in checkpoints else to
            if once not in seen and to not in first:
                seen.add(once)
                tree.setdefault(at, []).append(edge)
                queue += [] if to in checkpoints else [to]
    return tree


def share(edge: Fact, node: Fact) -> str:
    """How many of the rows told together a link leads to, where that is not all."""
    return f"{edge['count']:,} of " if edge["count"] < node["count"] else ""


def described(node: Fact) -> str:
    """A node in one line: its id, or how many there are of what, and where they stand."""
    place = "" if node["lines"] is None else f", {_lines(node['lines'])}"
    if node["row"] is None and node["what"] != "missing":
        return f"{node['count']:,} {node['table']} ({node['what']}{place})"
    row = node["row"] or {}
    text = " / ".join(str(row.get("text") or row.get("rationale") or "").split("\n"))
    said = f": {text[:LONGEST]}" if text else ""
    return f"{node['key']} ({node['what']}{place}{_numbers(node['table'], row)}){said}"


def _numbers(table: str, row: Fact) -> str:
    """What a row shown by itself is worth."""
    if table == "checkpoints" and row.get("content_hash"):
        return f", loop {row['loop']}, round {row['round']}, weights {row['content_hash'][:12]}"
    if table == "trainings" and row.get("step_count"):
        return f", {row['step_count']} steps"
    if table == "snapshots" and row.get("rows") is not None:
        return f", {row['rows']:,} examples"
    if table in ("scores", "evaluations", "audits") and row.get("value") is not None:
        return f", {row['value']:.4g}"
    if table == "decisions" and row.get("filter"):
        return f" by {row['filter']}" + (f": {row['reason']}" if row["reason"] else "")
    return ""


def _lines(ends: list[int]) -> str:
    return f"line {ends[0]}" if ends[0] == ends[1] else f"lines {ends[0]} to {ends[1]}"


def link_words(name: str) -> str:
    """A link's name as words."""
    return name.removesuffix("_id").replace("_", " ")


def source_lines(told: Fact) -> Iterator[str]:
    """What an ancestry began with, a line a source."""
    for one in told["sources"]:
        place = "" if one["first"] is None else f", {_lines([one['first'], one['last']])}"
        yield f"from {one['source']}: {one['prompts']:,} prompts{place}"


def since_lines(between: Fact) -> Iterator[str]:
    """What lies between two checkpoints, a line a training, then how often examples were seen."""
    yield f"since {between['since']}: {between['steps']:,} steps"
    for one in between["trainings"]:
        yield (
            f"  round {one['round']}: {one['training_id']} ({one['objective']}), {one['step_count']} steps "
            f"on {one['examples']:,} examples of {one['snapshot_id']}, made {one['checkpoint_id']}"
        )
    for one in between["seen"]:
        yield f"  {one['examples']:,} examples were seen {one['times']} times"


def dot(told: Fact) -> str:
    """The whole graph in Graphviz's language, a cluster a section, what came first at the foot."""
    lines = ["digraph ancestry {", "  rankdir=BT;", '  node [shape=box, fontname="sans-serif", fontsize=10];']
    edges = list[str]()
    drawn = set[str]()
    for number, section in enumerate(told["sections"]):
        lines.append(f"  subgraph cluster_{number} {{ label={_quoted(section['id'])};")
        for node in section["nodes"]:
            own = _name(section, node["table"], node["key"])
            if own not in drawn and not (node["table"] == "checkpoints" and node["key"] != section["id"]):
                lines.append(f"    {_quoted(own)} [label={_quoted(described(node))}];")
                drawn.add(own)
        lines.append("  }")
        tables = {node["key"]: node["table"] for node in section["nodes"]}
        for edge in section["edges"]:
            ends = (_name(section, tables[edge[end]], edge[end]) for end in ("child", "parent"))
            child, parent = (_quoted(end) for end in ends)
            edges.append(f"  {parent} -> {child} [label={_quoted(link_words(edge['link']))}];")
    return "\n".join([*lines, *edges, "}"]) + "\n"


def _name(section: Fact, table: str, key: str) -> str:
    """A checkpoint is one node of the whole graph, other rows are of their section."""
    return key if table == "checkpoints" else f"{section['id']} {key}"


def _quoted(text: str) -> str:
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
