"""What lies between two checkpoints of one line: snapshots, steps, and how often each example was seen."""

from __future__ import annotations

from schemas.errors import BadInput
from warehouse.ancestry.find import find
from warehouse.ancestry.weights import Fact, Weights
from warehouse.lake import Lake, Where
from warehouse.query import query


def since(lake: Lake, checkpoint: str, base: str) -> Fact:
    """What a checkpoint was trained on since another that it was trained from; ids or prefixes of them.

    `trainings` come oldest first, with their snapshot, steps and tokens; `examples` say how often each was
    in a batch, `seen` how many examples were there so often. BadInput where the one was not trained from the
    other.
    """
    weights = Weights(lake)
    top, bottom = find(lake, checkpoint).id, find(lake, base).id
    line = _line(weights, top, bottom)
    trainings = [weights.rows["trainings", weights.rows["checkpoints", one]["training_id"]] for one in line]
    examples = _seen(lake, trainings)
    counts = dict[int, int]()
    for example in examples:
        counts[example["times"]] = counts.get(example["times"], 0) + 1
    told = ("round", "training_id", "checkpoint_id", "snapshot_id", "objective", "step_count", "tokens")
    return {
        "id": top,
        "since": bottom,
        "trainings": [
            {name: one[name] for name in told}
            | {"examples": weights.rows["snapshots", one["snapshot_id"]]["rows"]}
            for one in trainings
        ],
        "steps": sum(one["step_count"] or 0 for one in trainings),
        "seen": [{"times": times, "examples": counts[times]} for times in sorted(counts)],
        "examples": examples,
    }


def _line(weights: Weights, top: str, bottom: str) -> list[str]:
    """The checkpoints from one down to another that it was trained from, oldest first, without that."""
    line, at = list[str](), top
    while at != bottom:
        parent = weights.rows.get(("checkpoints", at), {}).get("parent_id")
        if parent is None:
            raise BadInput(f"{top} was not trained from {bottom}: see `ratchet trace {top}` for what it was")
        line.append(at)
        at = str(parent)
    return line[::-1]


def _seen(lake: Lake, trainings: list[Fact]) -> list[Fact]:
    """How often each example was in a batch of some trainings, most often first."""
    if not trainings:
        return []
    scope: Where = {
        "loop": sorted({one["loop"] for one in trainings}),
        "round": sorted({one["round"] for one in trainings}),
        "training_id": [one["training_id"] for one in trainings],
    }
    sql = """
        WITH fed AS (SELECT training_id, unnest(example_ids) AS example_id FROM steps
                     WHERE training_id IN (SELECT unnest($trainings)))
        SELECT example_id, count(*) AS times, count(DISTINCT training_id) AS trainings FROM fed
        GROUP BY 1 ORDER BY times DESC, example_id"""
    return query(lake, sql, {"trainings": scope["training_id"]}, scope=scope).to_dicts()
