"""An ancestry as a page that stands alone: no script, no font, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from flows.pages.ancestry import begins, described, link_words, share, since_lines, source_lines, spanning
from flows.round.progress import printable

Fact = dict[str, Any]
ROW, INDENT, ARC = (
    34,
    26,
    18,
)  # pixels: a checkpoint's line, the left margin, how far arcs reach for a line crossed
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c1c; background: #fff; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.25rem }
h2 { font-size: 1rem; margin: 2rem 0 .4rem; border-top: 1px solid #ccc; padding-top: .8rem }
code { font: .87em ui-monospace, monospace }
a { color: #0b57a4; text-decoration: none }
a:hover { text-decoration: underline }
ul { list-style: none; margin: 0; padding-left: 1.2rem; border-left: 1px solid #ddd }
section > ul { border: 0; padding: 0 }
li { margin: .12rem 0 }
.link { color: #6a6a6a }
.note { color: #8a5a00 }
svg text { font: 12px ui-monospace, monospace }
table { border-collapse: collapse; font-size: .87rem }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top }
@media (prefers-color-scheme: dark) {
  body { color: #e4e4e4; background: #161616 }
  a { color: #7db8f5 }
  ul, h2 { border-color: #444 }
  .link { color: #a0a0a0 }
  .note { color: #e0b060 }
  svg text { fill: #e4e4e4 }
}
"""


def page(told: Fact, between: Fact | None = None) -> str:
    """The page of an ancestry: the line of checkpoints as a drawing, then a section each, with every link."""
    title = f"{told['id']}: what it descends from"
    body = [f"<h1>{_text(title)}</h1>", _drawing(told)]
    if between is not None:
        body += ["<ul>", *(f"<li>{_text(line)}</li>" for line in since_lines(between)), "</ul>"]
    body += ["<ul>", *(f"<li>{_text(line)}</li>" for line in source_lines(told)), "</ul>"]
    for section in told["sections"]:
        body += _section(section)
    sized = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"{sized}<title>{_text(title)}</title>"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _section(section: Fact) -> Iterator[str]:
    nodes = {node["key"]: node for node in section["nodes"]}
    yield f'<section id="{_anchor(section["id"])}"><h2><code>{_text(section["id"])}</code></h2>'
    if not section["whole"]:
        yield '<p class="note">Told by what its snapshots say of themselves: --all walks every row.</p>'
    yield "<ul>"
    for own in begins(section):
        yield from _items(own, None, spanning(section), nodes, section)
    yield "</ul><details><summary>every link</summary><table>"
    yield "<tr><th>row</th><th>link</th><th>to</th><th>links</th></tr>"
    for edge in section["edges"]:
        ends = (f"<td><code>{_text(edge[end])}</code></td>" for end in ("child", "parent"))
        child, parent = ends
        yield f"<tr>{child}<td>{_text(link_words(edge['link']))}</td>{parent}<td>{edge['count']:,}</td></tr>"
    yield "</table></details></section>"


def _items(
    at: str, edge: Fact | None, tree: Mapping[str, list[Fact]], nodes: Mapping[str, Fact], section: Fact
) -> Iterator[str]:
    node = nodes[at]
    words = _text(described(node))
    elsewhere = node["table"] == "checkpoints" and at != section["id"]
    if elsewhere:
        words = f'<a href="#{_anchor(at)}">{words}</a>'
    lead = f'<span class="link">{_text(link_words(edge["link"]))}:</span> {share(edge, node)}' if edge else ""
    yield f"<li>{lead}{words}"
    if further := () if elsewhere else tree.get(at, ()):
        yield "<ul>"
        for one in further:
            yield from _items(one["parent"], one, tree, nodes, section)
        yield "</ul>"
    yield "</li>"


def _drawing(told: Fact) -> str:
    """The sections from top to bottom, with an arc from each to every section that it descends from."""
    place = {section["id"]: number for number, section in enumerate(told["sections"])}
    arcs = sorted(
        {
            (place[section["id"]], place[node["key"]])
            for section in told["sections"]
            for node in section["nodes"]
            if node["key"] in place and node["key"] != section["id"]
        }
    )
    widest = max((abs(one - other) for one, other in arcs), default=0)
    left = INDENT + ARC * min(widest, 12)
    shapes = list[str]()
    for one, other in arcs:
        top, foot = (ROW // 2 + ROW * number for number in (one, other))
        reach = left - ARC * min(abs(one - other), 12) - 12
        shapes.append(
            f'<path d="M{left} {top} C{reach} {top} {reach} {foot} {left} {foot}" fill="none" stroke="#8aa"/>'
        )
    for section in told["sections"]:
        y = ROW // 2 + ROW * place[section["id"]]
        first = next((node for node in section["nodes"] if node["key"] == section["id"]), None)
        words = described(first) if first else section["id"]
        shapes.append(f'<circle cx="{left}" cy="{y}" r="4.5" fill="#0b57a4"/>')
        line = f'<text x="{left + 12}" y="{y + 4}">{_text(words[:140])}</text>'
        shapes.append(f'<a href="#{_anchor(section["id"])}">{line}</a>')
    height = ROW * len(place)
    box = f'viewBox="0 0 1120 {height}" width="100%" height="{height}" preserveAspectRatio="xMinYMin"'
    return f'<svg {box} role="img">{"".join(shapes)}</svg>'


def _anchor(own: str) -> str:
    return escape(own, quote=True)


def _text(text: str) -> str:
    return escape(printable(text))
