"""Promises of traces: all that a row descends from is told, back to the base and to the sources."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from flows.pages.ancestry import ancestry_tree, dot, since_lines
from flows.pages.ancestry_html import page
from schemas.descent import KEYS, KINDS, LINKS
from schemas.errors import BadInput, NotFound
from schemas.identity import (
    answer_id,
    base_id,
    decision_id,
    guest_id,
    preference_id,
    prompt_id,
    score_id,
)
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse import preferences
from tests.warehouse.preferences import preference
from tests.warehouse.story import HASH, PROMPTS
from warehouse.ancestry.columns import asking
from warehouse.ancestry.described import WHAT
from warehouse.ancestry.find import find
from warehouse.ancestry.impact import impact
from warehouse.ancestry.since import since
from warehouse.ancestry.trace import ancestry
from warehouse.ancestry.walk import NODES, walking
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.snapshot import freeze

BASE = base_id("ada", HASH)


@pytest.fixture(scope="module")
def lake(told: Path) -> Lake:
    """The lake with a whole story, to read."""
    return Lake(told)


def made_in(lake: Lake, loop: str, number: int) -> dict[str, Any]:
    """The row of the checkpoint that a round of the story trained."""
    rows = read(lake, "checkpoints", {"loop": loop, "round": number})
    return rows.filter(pl.col("training_id").is_not_null()).row(0, named=True)


def keys(told: dict[str, Any]) -> set[str]:
    """Every row that is told by itself, and every kind of rows that is told together."""
    return {node["key"] for section in told["sections"] for node in section["nodes"]}


def test_every_column_that_names_rows_leads_up_by_its_link() -> None:
    declared = {(link.child, link.name, link.parent) for link in LINKS if link.by_id}
    for table in TABLES.values():
        for column in table.own:
            for target in column.to:
                parent, key = target.split(".")
                assert (table.name, column.name, parent) in declared
                assert KEYS[parent] == key, "a link holds what rows are named by"
    with_kind = {table for places in KINDS.values() for table, _ in places}
    assert with_kind >= {*TABLES} - {"tokens"}, "rows of every table are found by an id"
    assert {*WHAT} >= {*TABLES}, "rows of every table have words by which they are told together"


@pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind, places in KINDS.items() for place in places]
)
def test_any_row_is_traced_to_its_base_and_to_the_line_of_its_source(
    lake: Lake, kind: str, place: tuple[str, str]
) -> None:
    table, column = place
    rows = query(lake, f"SELECT {column} FROM {table} ORDER BY {column}")[column]
    if rows.is_empty():
        assert table not in {
            "prompts",
            "candidates",
            "examples",
            "snapshots",
            "trainings",
            "checkpoints",
            "scores",
        }
        return
    own = rows[len(rows) // 2]
    assert own.startswith(f"{kind}-")
    told = ancestry(lake, own)
    own = (
        query(lake, f"SELECT {KEYS[table]} FROM {table} WHERE {column} = $own", {"own": own})
        .row(0)[0]
        .split("/")[-1]
    )
    assert told["id"] == own, "a training's states are one row"
    assert told["table"] == place[0]
    nodes = [node for section in told["sections"] for node in section["nodes"]]
    assert "missing" not in {node["what"] for node in nodes}
    assert any(own in node["key"] for node in nodes)
    if table not in {
        "prompts",
        "candidates",
        "scores",
        "decisions",
    }:  # a reference was written by no checkpoint
        assert {base_id(loop, HASH) for loop in ("ada", "bob")} & keys(told)
    if table in {"prompts", "examples", "snapshots", "scores", "decisions", "candidates"}:
        (source,) = told["sources"]
        assert source["source"] == "train, story"
        assert 1 <= source["first"] <= source["last"] <= PROMPTS


def test_a_checkpoint_is_told_generation_by_generation_and_each_once(lake: Lake) -> None:
    last = made_in(lake, "ada", 2)
    told = ancestry(lake, last["checkpoint_id"])
    line = [section["id"] for section in told["sections"]]
    assert line == [*(made_in(lake, "ada", number)["checkpoint_id"] for number in (2, 1, 0)), BASE]
    assert told["sources"] == [
        {"source": "train, story", "prompts": 3 * PROMPTS, "first": 1, "last": PROMPTS}
    ]
    for section in told["sections"][:-1]:
        assert section["whole"]
        links = {(edge["link"], edge["child"].split("-")[0]) for edge in section["edges"]}
        assert {("training_id", "ckpt"), ("snapshot_id", "train"), ("holds", "snap")} <= links
        assert {name for name, _ in links} >= {
            "drawn from",
            "kept by",
            "by the verdict",
            "prompt_id",
            "checkpoint_id",
        }


def test_what_is_beyond_the_bound_is_told_from_what_snapshots_say_of_themselves(lake: Lake) -> None:
    last = made_in(lake, "ada", 2)["checkpoint_id"]
    whole, short = ancestry(lake, last), ancestry(lake, last, walked=PROMPTS)
    assert [section["id"] for section in short["sections"]] == [
        section["id"] for section in whole["sections"]
    ]
    assert [section["whole"] for section in short["sections"]] == [True, False, False, True]
    for own in (last, made_in(lake, "ada", 2)["training_id"]):
        nothing = ancestry(lake, own, walked=0)
        assert [section["whole"] for section in nothing["sections"]][:2] == [False, False]
        assert {section["id"] for section in nothing["sections"]} >= {BASE}
    middle = short["sections"][1]
    writers = [edge for edge in middle["edges"] if edge["link"] == "written by"]
    assert writers == [
        {
            "child": read(lake, "snapshots", {"loop": "ada", "round": 1})["snapshot_id"].item(),
            "parent": made_in(lake, "ada", 0)["checkpoint_id"],
            "link": "written by",
            "count": PROMPTS,
        }
    ]


def test_a_judge_leads_to_the_loop_that_trained_it_and_so_does_a_base(full: Lake) -> None:
    """By weights: a checkpoint that came into a loop from outside is another loop's that was trained."""
    judge, base = made_in(full, "ada", 1), made_in(full, "ada", 0)
    log = Log(full)
    own = guest_id(2, "bob", "judge", judge["content_hash"])
    rows = {"checkpoint_id": [own], "content_hash": judge["content_hash"], "role": "judge", "path": "/judge"}
    log.once(Unit("bob", 2, "guest"), "checkpoints", lambda: pl.DataFrame(rows))
    candidate = read(full, "candidates", {"loop": "bob", "round": 2}).sort("candidate_id").row(0, named=True)
    score = {
        "score_id": [score_id(2, candidate["candidate_id"], "judge", "1", own)],
        "candidate_id": candidate["candidate_id"],
        "prompt_id": candidate["prompt_id"],
        "verifier": "judge",
        "verifier_version": "1",
        "verifier_kind": "judge",
        "outcome": "pass",
        "value": 4.0,
        "judge_checkpoint_id": own,
    }
    log.once(Unit("bob", 2, "judge"), "scores", lambda: pl.DataFrame(score))
    told = ancestry(full, score["score_id"][0])
    assert {own, judge["checkpoint_id"], base["checkpoint_id"], BASE} <= keys(told)
    line = [section["id"] for section in told["sections"]]
    assert line.index(judge["checkpoint_id"]) < line.index(base["checkpoint_id"]) < line.index(BASE)
    assert {"child": own, "parent": judge["checkpoint_id"], "link": "same weights", "count": 1} in [
        edge for section in told["sections"] for edge in section["edges"]
    ]
    opened = {
        "checkpoint_id": [base_id("cleo", judge["content_hash"])],
        "content_hash": judge["content_hash"],
        "role": "policy",
        "path": "/cleo",
    }
    log.once(Unit("cleo", 0, "base"), "checkpoints", lambda: pl.DataFrame(opened))
    assert {judge["checkpoint_id"], BASE} <= keys(ancestry(full, opened["checkpoint_id"][0]))


def test_a_prefix_is_enough_where_no_other_id_has_it(lake: Lake) -> None:
    own = made_in(lake, "ada", 1)["checkpoint_id"]
    assert find(lake, own[:14]).id == own
    for text in ("ckpt-00001-", "cand-0000", "event-00001-"):
        with pytest.raises(BadInput, match=f"{text} begins several ids, {text}.*: give more of it"):
            find(lake, text)
    for text in ("ckpt-00001-ffffffffffffffffffffffff", "ckpt-00009", "pref-00000-"):
        with pytest.raises(NotFound, match=f"holds no {text}"):
            find(lake, text)
    for text in (
        "",
        "hello",
        "ckpt",
        "ckpt-x",
        "ckpt-00001-XYZ",
        "nix-00001-ab",
        "ckpt-00001-'; DROP",
        f"ckpt-{'1' * 5000}",
    ):
        with pytest.raises(BadInput, match="begins no id"):
            find(lake, text)


def test_what_lies_between_two_checkpoints_is_the_ledger_of_their_line(lake: Lake) -> None:
    last, first = (made_in(lake, "ada", number)["checkpoint_id"] for number in (2, 0))
    between = since(lake, last, first)
    assert [one["round"] for one in between["trainings"]] == [1, 2]
    fed = query(lake, "SELECT unnest(example_ids) AS id FROM steps WHERE loop = 'ada' AND round > 0")["id"]
    assert {one["example_id"]: one["times"] for one in between["examples"]} == dict(
        fed.value_counts().iter_rows()
    )
    assert between["seen"] == [{"times": 1, "examples": len(fed)}]
    assert since(lake, last, last)["trainings"] == []
    assert f"  {len(fed)} examples were seen 1 times" in list(since_lines(between))
    other = made_in(lake, "bob", 0)["checkpoint_id"]
    with pytest.raises(BadInput, match=f"{last} was not trained from {other}"):
        since(lake, last, other)


class Page(HTMLParser):
    """The tags and addresses of a page, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        self.anchors |= {value or "" for name, value in attrs if name == "id"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def test_the_tree_the_graph_and_the_page_tell_every_row_and_hostile_text_does_nothing(full: Lake) -> None:
    champion = made_in(full, "ada", 1)["checkpoint_id"]
    prompt = read(full, "prompts", {"loop": "ada", "round": 2})["prompt_id"].sort()[0]
    settings = (champion, 1, 8, 0.7, 1.0, 16)
    own = answer_id(2, prompt, *settings)
    names = ("checkpoint_id", "sample_index", "seed", "temperature", "top_p", "max_tokens")
    hostile = '</script><script>alert("1")</script>\x1b[31m"]; rm'
    row = dict(zip(names, settings, strict=True)) | {"prompt_id": prompt, "kind": "answer", "split": "train"}
    Log(full).once(
        Unit("ada", 2, "more"),
        "candidates",
        lambda: pl.DataFrame([row | {"candidate_id": own, "text": hostile}]),
    )
    credited = {
        "candidate_id": [own],
        "prompt_id": prompt,
        "checkpoint_id": champion,
        "estimator": "gae",
        "rewards": "{}",
    }
    Log(full).once(Unit("ada", 2, "credit"), "rollouts", lambda: pl.DataFrame(credited))
    told = ancestry(full, own)
    assert {own, f"rollouts {own}"} <= keys(told)
    screen = StringIO()
    ancestry_tree(Console(file=screen, width=80), told)
    for text in (screen.getvalue(), dot(told), page(told)):
        assert own in text
        assert champion in text
        assert "\x1b" not in text
        assert "story" in text
        assert "rewarded by gae" in text
        assert "alert(" in text, "the answer's own line"
    read_page = Page()
    read_page.feed(page(told, since(full, champion, BASE)))
    assert read_page.open == []
    assert "script" not in read_page.tags
    assert {address.removeprefix("#") for address in read_page.addresses} <= read_page.anchors
    graph = dot(told)
    assert graph == dot(ancestry(full, own))
    ends = re.findall(r'^  "(.*)" -> "(.*)" \[', graph, re.MULTILINE)
    assert ends
    assert all(one != other for one, other in ends), "no row descends from itself"
    assert graph.count("{") == graph.count("}")
    assert all(line.count('"') % 2 == 0 for line in graph.replace('\\"', "").splitlines())


def links_of(log: Log, table: str, own: str) -> list[tuple[str, str]]:
    """The links that lead up from a row, and to which rows."""
    with walking(log.lake, [preferences.LOOP]) as walk:
        begun = pl.DataFrame([("it", table, own)], schema=NODES, orient="row")
        _, edges = walk.closure(begun)
    return edges.filter(child_table=table, child=own).select("link", "parent").unique().rows()


def test_a_pair_of_rewards_rests_on_every_verdict_that_its_label_averages(tmp_path: Path) -> None:
    """Under two principles and of both sides; not on what said nothing, nor on other pairs."""
    log = Log(Lake.create(tmp_path / "lake"))
    places = ((0, 1, 0.9), (1, 0, 0.6), (0, 1, None), (0, 2, 0.9))
    verdicts = [
        preference(chosen, rejected, points=None, probability=probability)
        | {
            "preference_id": preference_id(0, "one", "other", str(number), None),
            "principle": f"principle {number}",
        }
        for number, (chosen, rejected, probability) in enumerate(places)
    ]
    preferences.play(log, verdicts)
    decided, prompt = Unit(preferences.LOOP, 0, "filter"), preferences.asked("train", 0)
    kept = {"prompt_id": prompt, "kept": True, "filter": "kept", "position": 0}
    ids = [preferences.written("train", 0, index) for index in (0, 1)]
    rows = [
        kept | {"decision_id": decision_id(0, preferences.LOOP, 0, "kept", own), "candidate_id": own}
        for own in ids
    ]
    log.once(decided, "decisions", lambda: pl.DataFrame(rows))
    parameters = {"loop": preferences.LOOP, "round": 0, "units": [decided.key]}
    snapshot = freeze(log, Unit(preferences.LOOP, 0, "freeze"), "reward", [decided.key], parameters)
    own = query(log.lake, f"SELECT {KEYS['examples']} AS own FROM examples")["own"].item()
    assert own.startswith(snapshot)
    averaged = {parent for link, parent in links_of(log, "examples", own) if link == "averaged from"}
    assert averaged == {verdicts[0]["preference_id"], verdicts[1]["preference_id"]}
    told = impact(log.lake, "principle=principle 1")
    assert [one["examples"] for one in told["snapshots"]] == [1]


def test_an_invented_prompt_was_written_with_white_space_around_it(tmp_path: Path) -> None:
    log = Log(Lake.create(tmp_path / "lake"))
    preferences.play(log, [preference(0, 1)])
    settings = ("checkpoint_id", "sample_index", "seed", "temperature", "top_p", "max_tokens")
    values = (preferences.BASE, 0, 7, 0.7, 1.0, 16)
    own = answer_id(0, preferences.asked("train", 1), *values)
    written = {
        "candidate_id": [own],
        "prompt_id": preferences.asked("train", 1),
        "kind": "instruction",
        "split": "train",
        "text": "\n\u3000one line\r\nand another \x0b\t\u00a0",
    }
    log.once(
        Unit(preferences.LOOP, 0, "invent"),
        "candidates",
        lambda: pl.DataFrame(written | dict(zip(settings, values, strict=True))),
    )
    admitted = {
        "prompt_id": [prompt_id(0, preferences.LOOP, "train", "invented", 1, "one line\nand another")],
        "split": "train",
        "source": f"invented:{preferences.BASE}",
        "line": 1,
        "text": "one line\nand another",
    }
    log.once(Unit(preferences.LOOP, 0, "admit-invented"), "prompts", lambda: pl.DataFrame(admitted))
    assert ("invented as", own) in links_of(log, "prompts", admitted["prompt_id"][0])


def test_what_a_critic_learns_was_credited_as_the_policys_examples_are() -> None:
    """By the declared link, of rows that are about to be frozen."""
    (link,) = (one for one in LINKS if one.name == "credited by")
    purposes = pl.DataFrame({"purpose": ["policy", "value", "sft", "reward"], "candidate_id": "cand"})
    assert asking(link, purposes, down=False)["purpose"].to_list() == ["policy", "value"]
