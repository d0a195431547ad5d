"""The constitutional supervised phase on the tutor: `python -m bench.lab constitutional --lake FOLDER`; and
on real dialogues: `python -m bench.lab dialogues --data FILE`.

For each seed one round as it ships. Harm is the tutor's oracle of manner, which decides nothing that is
learned: on held-out red-team prompts before and after, by kind, and on the texts that stand after each
revision. Accuracy is held against the start's on the same held-out stories. What is done is kept in the lake:
the same command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.final import loop_done
from flows.pages.status import interval
from schemas.recipes.constitutional import Constitutional
from schemas.recipes.harm import AgainstHarm
from tasks.evaluate.margin import margin
from tasks.evaluate.measure import problems_of
from warehouse.lake import Lake
from warehouse.query import query

_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")

_METRICS = """
    SELECT place, metric, value, low, high, n FROM accuracy
    WHERE loop = $loop AND round = 0 AND metric IN ('harmful', 'over_refusal', 'accuracy')"""
_MARKS = """
    SELECT c.checkpoint_id, c.prompt_id, p.problem, s.outcome = 'pass' AS passed
    FROM candidates AS c JOIN scores AS s USING (loop, round, candidate_id)
    JOIN prompts AS p ON p.loop = c.loop AND p.prompt_id = c.prompt_id
    WHERE c.loop = $loop AND c.round = 0 AND c.split = 'eval' AND c.temperature = 0
      AND coalesce(s.role, 'filter') = 'filter'
    ORDER BY c.prompt_id"""


def constitutional(
    lake: str, seeds: list[int], rounds: int, recipe: Callable[..., Constitutional]
) -> list[dict[str, Any]]:
    """Rows of three tables (key `table`): a row a seed, a row a seed and kind, a row a seed and revision."""
    rows = []
    for seed in seeds:
        own = recipe(seed=seed, evaluation__sampled_count=0)
        loop = f"constitutional-{seed}"
        first = loop_done(lake, loop, rounds, own)[0]
        rows += _rows(Lake(lake), loop, seed, own, first)
    return rows


def dialogues(
    lake: str, seeds: list[int], data: Path, recipe: Callable[..., Constitutional]
) -> list[dict[str, Any]]:
    """One round over a file of dialogues (HH-RLHF's as published) and what became of each: rows of counts.

    The tutor reads nothing of what they say: this shows that nothing is lost on the way, and no more.
    """
    own = recipe(seed=seeds[0], red_team__path=str(data.resolve()), **_SHORT)
    loop_done(lake, "dialogues", 1, own)
    rows = query(Lake(lake), _FATES, {"loop": "dialogues", "source": data.name}).to_dicts()
    return [{"table": "what became of the dialogues", **row} for row in rows]


_SHORT = {
    "prompts__per_round": 60,
    "prompts__eval_count": 60,
    "red_team__eval_count": 60,
    "red_team__per_round": 150,
    "revisions": 2,
    "sampling__max_tokens": 24,
    "evaluation__max_tokens": 96,
    "evaluation__sampled_count": 0,
    "training__max_tokens": 1024,
}
_FATES = """
    WITH admitted AS (
        SELECT 'admitted' AS step, coalesce(refusal, split) AS fate, count(*) AS dialogues
        FROM prompts WHERE loop = $loop AND source = $source GROUP BY ALL),
    asked AS (
        SELECT chain[1:11] AS step, candidate_id, kept, reason FROM last_decisions
        WHERE loop = $loop AND chain LIKE '%-revision.critique'),
    revised AS (
        SELECT d.chain[1:11] AS step, c.parents[1] AS candidate_id, d.kept, d.reason
        FROM candidates AS c JOIN last_decisions AS d USING (loop, round, candidate_id)
        WHERE c.loop = $loop AND c.kind = 'revision' AND d.chain LIKE '%-revision.revise'),
    fates AS (
        SELECT a.step, CASE WHEN NOT a.kept THEN 'not asked: ' || a.reason WHEN r.kept THEN 'usable'
                            ELSE 'dropped: ' || coalesce(r.reason, 'LOST') END AS fate
        FROM asked AS a LEFT JOIN revised AS r USING (step, candidate_id))
    FROM admitted
    UNION ALL
    SELECT step, regexp_replace(fate, '[0-9,]+ tokens', 'N tokens'), count(*) FROM fates GROUP BY ALL
    ORDER BY 1 DESC, 3 DESC"""


def tables(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows by table, as they are printed."""
    hidden = ("table", "value", "low", "high", "all")
    return {
        title: [{k: v for k, v in row.items() if k not in hidden} for row in rows if row["table"] == title]
        for title in dict.fromkeys(row["table"] for row in rows)
    }


def _rows(
    lake: Lake, loop: str, seed: int, own: Constitutional, first: dict[str, Any]
) -> list[dict[str, Any]]:
    row = {"table": "constitutional", "seed": seed, **before_and_after(lake, loop, own, first)}
    return [row, *kinds(lake, loop, seed), *_revisions(lake, loop, seed)]


def before_and_after(lake: Lake, loop: str, own: AgainstHarm, first: dict[str, Any]) -> dict[str, Any]:
    """Harm, over-refusal and accuracy of a loop's first champion and challenger, and what the round came
    to.
    """
    metrics = {(row["place"], row["metric"]): row for row in query(lake, _METRICS, {"loop": loop}).to_dicts()}
    before, after = metrics["champion", "harmful"], metrics["challenger", "harmful"]
    row: dict[str, Any] = {"harmful, start": _share(before), "after": _share(after)}
    row |= {"times the start": after["value"] / before["value"] if before["value"] else None}
    for name, metric in (("refused look-alikes", "over_refusal"), ("accuracy", "accuracy")):
        row |= {
            f"{name}, start": _share(metrics["champion", metric]),
            f"{name}, after": _share(metrics["challenger", metric]),
        }
    kept = _kept(lake, loop, own, first)
    row |= {
        "of the start's": f"{kept.ratio:.3f} [{kept.low:.3f}, {kept.high:.3f}]",
        "p below 0.95": 1 - kept.above,
    }
    return row | {
        "learned": first["trained_on"],
        "verdict": first["verdict"],
        "seconds": first["seconds"].get("total"),
    }


def _share(metric: dict[str, Any]) -> str:
    """A share in percent with its interval."""
    return interval({"accuracy": metric["value"], "low": metric["low"], "high": metric["high"]}) or ""


def _kept(lake: Lake, loop: str, own: AgainstHarm, first: dict[str, Any]) -> Any:
    marks = query(lake, _MARKS, {"loop": loop})
    start = marks.filter(checkpoint_id=first["champion"]["checkpoint"])
    end = marks.filter(checkpoint_id=first["challenger"]["checkpoint"])
    assert start["prompt_id"].equals(end["prompt_id"])
    share = own.gate.accuracy_share
    return margin(start["passed"].to_list(), end["passed"].to_list(), share, problems_of(start))


def kinds(lake: Lake, loop: str, seed: int) -> list[dict[str, Any]]:
    """A row a kind of harm: harmful answers of the first champion and challenger."""
    sql = """
        SELECT kind, any_value(answers) AS answers,
               max(harmful) FILTER (place = 'champion') AS start,
               max(harmful) FILTER (place = 'challenger') AS after
        FROM harm_by_kind WHERE loop = $loop AND round = 0 GROUP BY kind ORDER BY kind"""
    return [
        {"table": "by kind", "seed": seed, **row, "start": row["start"] or 0, "after": row["after"] or 0}
        for row in query(lake, sql, {"loop": loop}).to_dicts()
    ]


def _revisions(lake: Lake, loop: str, seed: int) -> list[dict[str, Any]]:
    sql = """
        SELECT revision, answers, usable, harmful, harmful_share, mean_tokens
        FROM harm_by_revision WHERE loop = $loop AND round = 0 ORDER BY revision"""
    return [
        {"table": "by revisions", "seed": seed, **row} for row in query(lake, sql, {"loop": loop}).to_dicts()
    ]


def plot_constitutional(rows: list[dict[str, Any]], file: Path, title: str) -> None:
    """Harmful texts by the number of revisions, a line a seed; harmful answers by kind before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.0, 3.6), dpi=150)
    by_revisions = [row for row in rows if row["table"] == "by revisions"]
    by_kind = [row for row in rows if row["table"] == "by kind"]
    for seed, color in zip(sorted({row["seed"] for row in by_revisions}), _COLORS, strict=False):
        own = [row for row in by_revisions if row["seed"] == seed]
        values = [100 * row["harmful_share"] for row in own]
        left.plot([row["revision"] for row in own], values, marker="o", color=color, label=f"seed {seed}")
    left.set_xticks(sorted({row["revision"] for row in by_revisions}))
    left.set_xlabel("revisions")
    left.set_ylabel("harmful texts, %")
    names = sorted({row["kind"] for row in by_kind} - {"any"})
    for place, (when, color) in enumerate((("start", "tab:gray"), ("after", "tab:blue"))):
        means = [
            _mean([100 * row[when] / row["answers"] for row in by_kind if row["kind"] == kind])
            for kind in names
        ]
        right.bar(
            [number + 0.4 * place for number in range(len(names))], means, 0.38, color=color, label=when
        )
    right.set_xticks([number + 0.2 for number in range(len(names))], names)
    right.set_ylabel("of held-out answers, %, mean of the seeds")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False)
    left.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
