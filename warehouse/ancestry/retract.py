"""What was taken back: a fact that later freezes heed, which champions still hold it, how they would be
clean.

The rule: an example is left out where by data (impact's first part) it descends from something taken back:
its texts, the verdicts, decisions and preferences that it was kept by, or the prompts, critiques and texts
that these were made from. What a checkpoint that learned from it writes later is not left out: such
checkpoints are named instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from schemas.descent import EXAMPLES
from schemas.errors import BadInput, NotFound
from schemas.identity import retraction_id
from schemas.ids import digest
from schemas.units import Unit
from warehouse.ancestry.columns import names
from warehouse.ancestry.impact import STOP, below, made_from
from warehouse.ancestry.select import meant
from warehouse.ancestry.walk import NODES, walking
from warehouse.ancestry.weights import SMALL, Fact, Node, Weights
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.query import query, read

TAKEN = ("prompts", "candidates", "scores", "critiques", "preferences", "decisions", "checkpoints")
"""Tables whose rows can be taken back: what examples are made from."""
NOT_YET = datetime(9999, 1, 1, tzinfo=UTC)  # when rows are recorded that are about to be frozen


def retract(lake: Lake, text: str, why: str) -> Fact:
    """Put on record that something was taken back, once: its row of table `retractions`.

    It counts for every loop of the lake. BadInput where the text names what no example is made from.
    """
    what, start, loops = meant(lake, text)
    other = sorted(set(start["table"]) - {*TAKEN, "rollouts", "soft_targets"})
    if other:
        raise BadInput(
            f"{what} is of {other[0]}: taken back are {', '.join(TAKEN)}, or source=..., verifier=..."
        )
    if not why.strip():
        raise BadInput("say why: it is on record for ever")
    earlier = [one for one in retractions(lake) if one["what"] == what]
    if earlier:
        return earlier[0]
    state = fold(lake, loops[0])
    number = state.next_round if state is not None else 0
    row = {"retraction_id": [retraction_id(number, loops[0], what)], "what": [what], "why": [why.strip()]}
    unit = Unit(loops[0], number, "retract", 0, digest((what,))[:12])
    return Log(lake).once(unit, "retractions", lambda: pl.DataFrame(row)).row(0, named=True)


def retractions(lake: Lake) -> list[Fact]:
    """All that was taken back in a lake, oldest first."""
    if not lake.file_names("retractions"):
        return []
    return read(lake, "retractions").sort("recorded_at", "retraction_id").to_dicts()


def reached_by(lake: Lake, what: str) -> pl.DataFrame:
    """The rows that were made from something taken back, by data: columns table and id."""
    start, loops = _named(lake, what)
    return made_from(lake, start, loops)[0].select("table", "id")


def _named(lake: Lake, what: str) -> tuple[pl.DataFrame, list[str]]:
    """The rows that were taken back as a start, and their loops; none of a source not admitted yet."""
    try:
        return meant(lake, what)[1:]
    except NotFound:
        return pl.DataFrame(schema=NODES), []


def without_retracted(lake: Lake, unit: Unit, objective: str, examples: pl.DataFrame) -> pl.DataFrame:
    """Examples that are about to be frozen by a unit, without those that descend from what was taken back.

    It is looked for above these examples, so that a freeze costs no more where more was made from it.
    """
    told = retractions(lake)
    if not told:
        return examples
    here = {"loop": unit.loop, "round": unit.round, "purpose": objective}
    rows = examples.with_columns(
        key="example_id",
        what=pl.lit(None, pl.String),
        line=pl.lit(None, pl.Int64),
        recorded_at=pl.lit(NOT_YET, pl.Datetime("us", "UTC")),
        **{name: pl.lit(value) for name, value in here.items()},
    )
    lacking = [name for name in names(EXAMPLES) if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in lacking)
    with walking(lake, [unit.loop]) as walk:
        parents = walk.parents(EXAMPLES, rows.select(names(EXAMPLES)))
        begun = parents.select(pl.lit("it").alias("origin"), table="parent_table", id="parent").unique()
        above, edges = walk.closure(begun, stop=STOP)
    taken = pl.concat([_named(lake, one["what"])[0] for one in told]).unique()
    gone = below(above.join(taken, on=NODES.names(), how="semi"), edges)
    held = parents.join(gone.select(parent_table="table", parent="id"), on=["parent_table", "parent"])
    return examples.filter(~pl.col("example_id").is_in(held["child"].unique().implode()))


def holders(lake: Lake, champions: Sequence[str]) -> dict[str, list[str]]:
    """What each of some checkpoints holds of what was taken back: it learned that, or a checkpoint did that
    it was trained from or whose texts it learned. Whose verdicts it was trained by is not looked at.
    """
    weights, held = Weights(lake), {one: list[str]() for one in champions}
    for one in retractions(lake):
        reached = reached_by(lake, one["what"])
        small = [node for node in reached.iter_rows() if node[0] in SMALL]
        for table, own in weights.descendants(small):
            if table == "checkpoints" and own in held:
                held[own].append(one["what"])
    return held


def plan(lake: Lake, what: str) -> list[Fact]:
    """How each champion that holds something would be clean, the cheapest way: one value a loop.

    `again` are the trainings by which it came to the champion, oldest first: those that learned it, of the
    champion's line and of whoever wrote its snapshots, and all after them. Each has its snapshot, how many of
    its examples would be left out, whether it must be `drawn_again` since a writer of it holds that too, and
    how long it took; `seconds` is their sum. `clean` is the checkpoint that the first began from, or where
    that was taken back itself the newest before it that is clean; None: there is none.
    """
    weights, reached = Weights(lake), reached_by(lake, what)
    small = [node for node in reached.iter_rows() if node[0] in SMALL]
    held = set(weights.descendants(small))
    counts = reached.filter(table=EXAMPLES)["id"].str.split("/").list.first().value_counts(name="examples")
    examples = dict(counts.iter_rows())
    plans = []
    for loop, champion in _champions(lake):
        if ("checkpoints", champion) not in held:
            continue
        mine = [node for node in weights.among(("checkpoints", champion), held) if node in weights.rows]
        again = [_again(weights, own, held, examples) for table, own in mine if table == "trainings"]
        again.sort(
            key=lambda one: (weights.rows["trainings", one["training_id"]]["recorded_at"], one["made"])
        )
        first = (
            weights.rows["trainings", again[0]["training_id"]]["base_checkpoint_id"] if again else champion
        )
        while first is not None and ("checkpoints", first) in held:  # it was taken back itself
            first = weights.rows["checkpoints", first]["parent_id"]
        total = sum(one["seconds"] or 0.0 for one in again)
        plans.append({"loop": loop, "champion": champion, "clean": first, "again": again, "seconds": total})
    return plans


def _again(weights: Weights, training: str, held: set[Node], examples: Mapping[str, int]) -> Fact:
    """A training as part of a plan."""
    row = weights.rows["trainings", training]
    snapshot = row["snapshot_id"]
    wrote = [node for node in weights.up["snapshots", snapshot] if node[0] == "checkpoints"]
    return {
        "training_id": training,
        "snapshot_id": snapshot,
        "made": row["checkpoint_id"],
        "left_out": examples.get(snapshot, 0),
        "drawn_again": any(node in held for node in wrote),
        "seconds": row["seconds"],
    }


def _champions(lake: Lake) -> list[tuple[str, str]]:
    """Every loop's champion: loop and checkpoint."""
    sql = """
        SELECT loop, arg_max(coalesce(champion_out, champion_in), round) AS champion
        FROM round_states GROUP BY loop ORDER BY loop"""
    rows: list[Any] = query(lake, sql).rows()
    return [(str(loop), str(champion)) for loop, champion in rows]
