"""What descends from what: one graph over the tables' rows, from their declared links, for whoever walks it.

A link of `schemas/tables.py` (`Column.to`) leads from a row to the rows that it names. Where a row rests on
rows that no column of it names (a decision on the verdicts on its candidate), the link is declared here, in
`RESTS`. Examples of snapshots are rows too, though of no table. Everything is walked both ways by the same
links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.columns import TEXTS
from schemas.tables import TABLES

EXAMPLES = "examples"
KEYS: Mapping[str, str] = {
    **{name: table.id for name, table in TABLES.items()},
    "trainings": "training_id",
    EXAMPLES: "snapshot_id || '/' || example_id",
}
"""What a row is named by in the graph: its id; a training's two or three states are one, and an example is
one for each snapshot that holds it. SQL over the row's columns.
"""


def _said_of_candidates() -> tuple[tuple[str, str], ...]:
    """Tables that hold one row a candidate by its id; its tokens, which are the text again, aside."""
    others = (name for name, table in TABLES.items() if table.id == "candidate_id")
    return tuple((name, "candidate_id") for name in others if name not in ("candidates", "tokens"))


_TEXTS = ("candidate_id", "rejected_id")
_SIDES = ("chosen_id", "rejected_id")
_SPACE = r"[\s\v\x{85}\p{Z}]"
_STRIPPED = f"regexp_replace(replace(text, chr(13)||chr(10), chr(10)), '^{_SPACE}+|{_SPACE}+$', '', 'g')"
"""SQL for a text as `invent` admits it: white space around it off (all that Unicode calls so), lines ended by
LF.
"""
_BORN = "CAST(split_part(preference_id, '-', 2) AS BIGINT)"  # the round of the preference that a pair names


KINDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "prompt": (("prompts", "prompt_id"),),
    "cand": (("candidates", "candidate_id"), *_said_of_candidates()),
    "req": (("requests", "request_id"),),
    "score": (("scores", "score_id"),),
    "crit": (("critiques", "critique_id"),),
    "pref": (("preferences", "preference_id"),),
    "dec": (("decisions", "decision_id"),),
    "ex": ((EXAMPLES, "example_id"),),
    "snap": (("snapshots", "snapshot_id"),),
    "train": (("trainings", "training_id"),),
    "step": (("steps", "step_id"),),
    "ckpt": (("checkpoints", "checkpoint_id"),),
    "eval": (("evaluations", "evaluation_id"),),
    "audit": (("audits", "audit_id"),),
    "retr": (("retractions", "retraction_id"),),
    "event": (("trainings", "event_id"), ("rounds", "event_id")),
}
"""Where rows with an id of a kind ("cand-...") stand: tables and columns."""
OF: Mapping[str, str] = {places[0][0]: kind for kind, places in KINDS.items() if kind != "event"}
"""Which kind of id the rows of a table have."""

When = Literal["same", "earlier", "any"]


@dataclass(frozen=True)
class Link:
    """Rows of `child` descend from rows of `parent` where each pair of `on` is equal: a column, or SQL, of
    the child and one of the parent; "parents[]" is each value of a list. `where` is a further condition, on
    `c` and `p`.

    `when` says in which round the parent was written, seen from the child's. `by_id`: the child's column
    holds the parent's id, so that the parent's row need not be read.
    """

    child: str
    parent: str
    name: str
    on: tuple[tuple[str, str], ...]
    only: str = ""
    of: str = ""
    where: str = ""
    when: When = "earlier"
    by_id: bool = False
    across: bool = False


def _declared() -> tuple[Link, ...]:
    """The links that columns declare."""
    links = []
    for table in TABLES.values():
        for column in table.own:
            for target in column.to:
                parent = target.split(".")[0]
                each = f"{column.name}[]" if column.type == TEXTS else column.name
                links.append(Link(table.name, parent, column.name, ((each, KEYS[parent]),), by_id=True))
    return tuple(links)


RESTS: tuple[Link, ...] = (
    Link("snapshots", EXAMPLES, "holds", (("snapshot_id", "snapshot_id"),), when="same"),
    Link(EXAMPLES, "candidates", "drawn from", (("candidate_id", "candidate_id"),), by_id=True),
    Link(EXAMPLES, "candidates", "held against", (("rejected_id", "candidate_id"),), by_id=True),
    Link(EXAMPLES, "preferences", "preferred by", (("preference_id", "preference_id"),), by_id=True),
    *(
        Link(
            EXAMPLES,
            "decisions",
            "kept by",
            ((column, "candidate_id"),),
            of="kept",
            where="p.recorded_at <= c.recorded_at",
            when="same",
        )
        for column in _TEXTS
    ),
    *(
        Link(
            EXAMPLES,
            "preferences",
            "averaged from",
            (*zip(_TEXTS, sides, strict=True), (_BORN, "round")),
            only="purpose = 'reward'",
            of="probability IS NOT NULL OR chosen_value IS NOT NULL AND rejected_value IS NOT NULL",
            where="p.recorded_at <= c.recorded_at",
        )
        for sides in (_SIDES, _SIDES[::-1])
    ),
    *(
        Link(EXAMPLES, table, name, (("candidate_id", "candidate_id"),), only=purpose, when="same")
        for table, name, purpose in (
            ("rollouts", "credited by", "purpose IN ('policy', 'value')"),
            ("soft_targets", "taught by", "purpose = 'distil'"),
        )
    ),
    Link(
        "decisions",
        "scores",
        "by the verdict",
        (("candidate_id", "candidate_id"),),
        of="coalesce(role, 'filter') = 'filter'",
        where="p.recorded_at <= c.recorded_at",
    ),
    Link(
        "rollouts",
        "scores",
        "rewarded by",
        (("candidate_id", "candidate_id"),),
        of="coalesce(role, 'filter') <> 'audit'",
        where="p.recorded_at <= c.recorded_at",
        when="same",
    ),
    Link(
        "scores",
        "candidates",
        "read from",
        (("candidate_id", "parents[]"), ("unit", "unit")),
        only="verifier_kind = 'judge'",
        of="kind = 'judgement'",
        when="same",
    ),
    Link(
        "preferences",
        "candidates",
        "read from",
        (("chosen_id", "parents[]"), ("unit", "unit")),
        of="kind = 'judgement'",
        where="list_contains(p.parents, c.rejected_id)",
        when="same",
    ),
    *(
        Link(
            "preferences", "decisions", "chosen by", ((column, "candidate_id"), ("unit", "unit")), when="same"
        )
        for column in _SIDES
    ),
    Link(
        "prompts",
        "candidates",
        "invented as",
        (("text", _STRIPPED), ("substr(source, 10)", "checkpoint_id")),
        only="starts_with(source, 'invented:')",
        of="kind = 'instruction'",
        when="same",
    ),
    Link(
        "candidates",
        "requests",
        "asked by",
        (("prompt_id", "prompt_id"), ("unit", "unit"), ("checkpoint_id", "checkpoint_id")),
        where="list_contains(p.indices, c.sample_index)",
        when="same",
    ),
    Link(
        "evaluations",
        "scores",
        "measured by",
        (
            ("checkpoint_id", r"regexp_extract(unit, 'ckpt-\d+-[0-9a-f]{24,}')"),
            ("split_part(unit, '/', 5)", "split_part(unit, '/', 5)"),
        ),
        when="same",
    ),
    Link("audits", "rounds", "read in", (("loop", "loop"),), of="state = 'started'", when="same"),
    Link(
        "checkpoints",
        "checkpoints",
        "same weights",
        (("content_hash", "content_hash"),),
        only="training_id IS NULL",
        of="training_id IS NOT NULL",
        where="p.recorded_at < c.recorded_at",
        when="any",
        across=True,
    ),
)
"""What rows rest on that no column of theirs names.

An example was kept by the decisions of its round, and a pair that a preference model learns has the mean of
all verdicts that its round gave on it; a decision went by the verdicts that were there; a judge's
verdict was read from its judgements, an evaluation made from the verdicts on its answers; an invented prompt
was written as a candidate; an audit read the round that had begun. Weights that came into a loop from
outside, a base or a judge, and are those of a checkpoint that was trained in this lake, descend from it,
whatever loop that was.
"""

LINKS: tuple[Link, ...] = (*_declared(), *RESTS)
