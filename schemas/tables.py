"""What a fact is: every event table, column by column, once for Arrow, Polars and SQL.

Each table is append-only, partitioned by `loop` and `round`, and begins with the columns that all
share. Text is UTF-8, times are UTC in microseconds, counts are rows or tokens as named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa

FORMAT = 1  # of the whole lake; another number is another schema and is refused

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
INT = pa.int64()
FLOAT = pa.float64()
INTS = pa.list_(pa.int64())
FLOATS = pa.list_(pa.float64())
BOOL = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")

_SQL = {
    TEXT: "VARCHAR",
    TEXTS: "VARCHAR[]",
    INT: "BIGINT",
    INTS: "BIGINT[]",
    FLOAT: "DOUBLE",
    FLOATS: "DOUBLE[]",
    BOOL: "BOOLEAN",
    TIME: "TIMESTAMP WITH TIME ZONE",
}


@dataclass(frozen=True)
class Column:
    """One column: `nullable` says whether a fact may lack it; `doc` gives its meaning and unit."""

    name: str
    type: pa.DataType
    doc: str
    nullable: bool = False

    @property
    def sql(self) -> str:
        """The DuckDB type."""
        return _SQL[self.type]


@dataclass(frozen=True)
class Table:
    """One kind of fact. `id` is the column whose values are unique in the table.

    `sorted_by` are the columns by which a closed round's rows lie, none for the id: what look-ups ask by.
    """

    name: str
    doc: str
    id: str
    own: tuple[Column, ...]
    sorted_by: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns: the shared ones, then the table's own."""
        return SHARED + self.own

    @property
    def order(self) -> tuple[str, ...]:
        """Columns that put the table's rows in one order: those it is sorted by, then the id."""
        return tuple(dict.fromkeys((*self.sorted_by, self.id)))

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, nullability included."""
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])

    @cached_property
    def polars(self) -> pl.Schema:
        """The Polars schema of the same columns in the same order."""
        empty = pl.from_arrow(self.arrow.empty_table())
        assert isinstance(empty, pl.DataFrame)
        return empty.schema

    @cached_property
    def own_polars(self) -> pl.Schema:
        """The Polars schema of the table's own columns: what a step hands to the log."""
        return pl.Schema({c.name: self.polars[c.name] for c in self.own})

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """A step's rows in the table's own types: the columns they have, all of them where there are none."""
        kept = {name: kind for name, kind in self.own_polars.items() if not rows or name in rows[0]}
        return pl.DataFrame(rows, schema=kept)

    @cached_property
    def sql(self) -> Mapping[str, str]:
        """DuckDB type by column name, in order."""
        return {c.name: c.sql for c in self.columns}

    @cached_property
    def statistics(self) -> tuple[str, ...]:
        """Columns whose minimum and maximum are kept for every file: what look-ups prune by."""
        ids = tuple(c.name for c in self.own if c.type == TEXT and c.name.endswith("_id"))
        return ("unit", *ids)


SHARED = (
    Column("loop", TEXT, "name of the loop, [a-z0-9-]+"),
    Column("round", INT, "number of the round, from 0"),
    Column("unit", TEXT, "key of the unit of work that wrote the row"),
    Column("recorded_at", TIME, "when the row was appended, UTC, microseconds"),
)


def _id(kind: str) -> Column:
    return Column(f"{kind}_id", TEXT, f"id of the {kind}")


def _ref(name: str, doc: str, nullable: bool = False) -> Column:
    return Column(name, TEXT, doc, nullable)


PROMPTS = Table(
    "prompts",
    "A prompt admitted to a loop.",
    "prompt_id",
    (
        _id("prompt"),
        _ref(
            "split",
            "train, eval (never trained on), seed (demonstrated), refused (too long), invention (asks one)",
        ),
        _ref("source", "a file's name, the tutor's family and seed, invented:<writer> or inventor:<label>"),
        Column("line", INT, "line in the source, or place among the texts asked for, from 1", True),
        _ref("text", "the prompt as the model sees it"),
        _ref("reference", "the reference answer, as the source gave it", True),
        Column("tests", TEXTS, "unit tests, for programs", True),
        _ref("topic", "topic, where the source names one", True),
        Column("difficulty", INT, "steps a solution needs, where the source says", True),
        Column("parents", TEXTS, "prompts it was invented from, as shown; none: not invented", True),
    ),
)

CANDIDATES = Table(
    "candidates",
    "One text that a checkpoint, a teacher or a reference wrote for a prompt.",
    "candidate_id",
    (
        _id("candidate"),
        _ref("prompt_id", "the prompt it answers"),
        _ref("checkpoint_id", "the checkpoint that wrote it; none for a reference", True),
        _ref("kind", "answer, reference, demonstration, judgement, revision, instruction, game ..."),
        _ref("split", "split of its prompt"),
        Column("sample_index", INT, "index among the samples of one prompt, from 0"),
        _ref("text", "the text"),
        _ref("finish_reason", "stop or length; none for a reference", True),
        Column("token_count", INT, "tokens generated, the end token included", True),
        Column("logprob_sum", FLOAT, "sum of the tokens' log-probabilities, nats, temperature 1", True),
        Column("temperature", FLOAT, "sampling temperature; 0 is greedy", True),
        Column("top_p", FLOAT, "nucleus mass sampled from", True),
        Column("max_tokens", INT, "limit on generated tokens", True),
        Column("seed", INT, "seed of this sample", True),
        Column("parents", TEXTS, "candidates it was made from; of a judgement: those judged, as shown", True),
    ),
)

TOKENS = Table(
    "tokens",
    "The tokens of one candidate (optional; apart because they are ten times the text).",
    "candidate_id",
    (
        _id("candidate"),
        Column("token_ids", INTS, "token ids generated"),
        Column("logprobs", FLOATS, "log-probability of each, nats, temperature 1"),
    ),
)

REQUESTS = Table(
    "requests",
    "One request to an endpoint, and all that came of it: candidates are made from these rows.",
    "request_id",
    (
        _id("request"),
        _ref("checkpoint_id", "the checkpoint that was asked"),
        _ref("prompt_id", "the prompt; none where a judge was asked", True),
        _ref("prompt_hash", "SHA-256 of what was asked, 64 hex digits"),
        Column("seed", INT, "seed of the first sample asked for"),
        Column("sample_index", INT, "index of the first sample asked for"),
        Column("samples", INT, "samples asked for"),
        _ref(
            "state", "finished, failed (for good), or unanswered (the endpoint gave out: it is asked again)"
        ),
        _ref("error", "why samples are missing, in one line", True),
        Column("status", INT, "last HTTP status; none where nothing came back", True),
        Column("attempts", INT, "times it was sent"),
        Column("prompt_tokens", INT, "tokens read, as the server counts", True),
        Column("completion_tokens", INT, "tokens written, as the server counts", True),
        Column("tokens", INT, "the most tokens it can have taken, lost attempts too: what a budget counts"),
        Column("cost", FLOAT, "what they cost by the recipe's prices"),
        Column("seconds", FLOAT, "from the first attempt to the end"),
        Column("indices", INTS, "index of each text", True),
        Column("texts", TEXTS, "what was written", True),
        Column("finish_reasons", TEXTS, "stop or length, of each text", True),
        Column("token_counts", INTS, "tokens of each text, where the server says so", True),
        Column("logprob_sums", FLOATS, "log-probability of each text, nats, where the server says so", True),
    ),
)

SCORES = Table(
    "scores",
    "One verdict of one verifier on one candidate.",
    "score_id",
    (
        _id("score"),
        _ref("candidate_id", "the candidate judged"),
        _ref("prompt_id", "its prompt"),
        _ref("verifier", "name of the verifier"),
        _ref("verifier_version", "its version"),
        _ref("verifier_kind", "rule, program, judge, reward ..."),
        _ref("outcome", "pass, fail, timeout, error, tampered or unscorable"),
        Column("value", FLOAT, "the score; only pass and fail have one", True),
        Column("steps", FLOATS, "one value a step: 1 holds, 0 does not; of a judge: its valid votes", True),
        _ref("answer", "the final answer as the verifier read it", True),
        Column("path", TEXTS, "the ordered equations: the reasoning path", True),
        _ref("rationale", "why, in one line", True),
        _ref("judge_checkpoint_id", "the judge's checkpoint", True),
        _ref(
            "role", "filter (what filters go by; none says so too), also, or audit (no filter sees it)", True
        ),
    ),
    sorted_by=("candidate_id",),
)

CRITIQUES = Table(
    "critiques",
    "One critique of a candidate against one principle.",
    "critique_id",
    (
        _id("critique"),
        _ref("candidate_id", "the candidate criticised"),
        _ref("principle", "the principle it was held against"),
        _ref("text", "the critique"),
        _ref("checkpoint_id", "the critic's checkpoint"),
    ),
    sorted_by=("candidate_id",),
)

PREFERENCES = Table(
    "preferences",
    "One judged pair of candidates.",
    "preference_id",
    (
        _id("preference"),
        _ref("prompt_id", "the prompt both answer"),
        _ref("chosen_id", "the preferred candidate"),
        _ref("rejected_id", "the other"),
        Column("probability", FLOAT, "that chosen is better, 0.5 to 1; none: no verdict was given", True),
        _ref("principle", "the principle judged by", True),
        Column(
            "chosen_value",
            FLOAT,
            "reward of chosen: its judge's mean points, less any penalty for length",
            True,
        ),
        Column("rejected_value", FLOAT, "reward of rejected, likewise", True),
        Column("chosen_first", BOOL, "whether the judge was shown chosen first; none: both orders", True),
        _ref("judge_checkpoint_id", "the judge's checkpoint", True),
    ),
    sorted_by=("prompt_id",),
)

DECISIONS = Table(
    "decisions",
    "One filter's decision on one candidate; a later filter sees only what the one before kept.",
    "decision_id",
    (
        _id("decision"),
        _ref("candidate_id", "the candidate decided on, of this or an earlier round"),
        _ref("prompt_id", "its prompt"),
        _ref("filter", "name of the filter"),
        Column("position", INT, "place of the filter in the recipe's chain, from 0"),
        Column("kept", BOOL, "whether the candidate goes on"),
        _ref("reason", "why not; none when kept", True),
        Column("value", FLOAT, "the value it decided by", True),
        Column("rank", INT, "rank among its prompt's candidates, from 0", True),
        _ref("duplicate_of", "the candidate kept in its place, or the prompt it is too like", True),
    ),
    sorted_by=("candidate_id", "position"),
)

SNAPSHOTS = Table(
    "snapshots",
    "One frozen training set.",
    "snapshot_id",
    (
        _id("snapshot"),
        _ref("content_hash", "SHA-256 over the canonical rows, 64 hex digits"),
        _ref("purpose", "the objective it is for"),
        Column("rows", INT, "examples"),
        Column("units", TEXTS, "units of work its rows were drawn from"),
        _ref("selection", "the SQL that selected the rows"),
        _ref("path", "its folder, relative to the lake"),
        _ref("files", "the folder's files: JSON of name to [size, SHA-256]", True),
        _ref(
            "writers",
            "who wrote the examples, of a pair both, JSON: round, checkpoint_id, kind, examples, prompts",
            True,
        ),
    ),
)

TRAININGS = Table(
    "trainings",
    "One state of a fine-tuning job: started, finished or failed.",
    "event_id",
    (
        _id("event"),
        _id("training"),
        _ref("state", "started, finished or failed"),
        _ref("objective", "the objective"),
        _ref("snapshot_id", "the snapshot it reads"),
        _ref("base_checkpoint_id", "the checkpoint it starts from"),
        _ref("checkpoint_id", "the checkpoint it made", True),
        _ref("hyperparameters", "JSON"),
        Column("seed", INT, "seed of order and dropout"),
        _ref("devices", "devices trained on", True),
        _ref("versions", "library versions, JSON", True),
        Column("step_count", INT, "optimizer steps taken", True),
        Column("tokens", INT, "tokens trained on", True),
        Column("loss", FLOAT, "loss of the last step, nats a token (sft) or a pair (dpo)", True),
        Column("seconds", FLOAT, "wall time of the job", True),
        _ref("error", "why it failed", True),
        _ref("files", "what a finished job left in the lake: JSON of name to [size, SHA-256]", True),
        Column("tokens_per_second", FLOAT, "over the time in steps; padding not counted", True),
        Column("peak_memory_bytes", INT, "most that one GPU, or on a CPU the process, held", True),
    ),
)

STEPS = Table(
    "steps",
    "One optimizer step and the examples in its batch.",
    "step_id",
    (
        _id("step"),
        _ref("training_id", "the training"),
        Column("step", INT, "number of the step, from 0"),
        Column("epoch", INT, "pass over the snapshot, from 0"),
        Column("example_ids", TEXTS, "examples in the batch, over all devices"),
        Column("loss", FLOAT, "nats a token (sft) or a pair (dpo)"),
        Column("learning_rate", FLOAT, "of this step"),
        Column("grad_norm", FLOAT, "before clipping"),
        Column("tokens", INT, "tokens that the loss covers"),
        Column("reward_accuracy", FLOAT, "share of pairs whose chosen has the higher reward (dpo)", True),
        Column("reward_margin", FLOAT, "mean reward of chosen less that of rejected (dpo)", True),
        Column("reward_chosen", FLOAT, "mean reward of chosen: beta times its log-ratio (dpo)", True),
        Column("demonstration_loss", FLOAT, "nats a token, mean over demonstrations (dpo)", True),
        Column("seconds", FLOAT, "wall time of the step", True),
        Column("peak_memory_bytes", INT, "most that one GPU, or on a CPU the process, held until then", True),
    ),
    sorted_by=("training_id", "step"),
)

CHECKPOINTS = Table(
    "checkpoints",
    "One set of weights.",
    "checkpoint_id",
    (
        _id("checkpoint"),
        _ref("content_hash", "SHA-256 over the tensors, 64 hex digits; behind an endpoint: over its address"),
        _ref("parent_id", "the checkpoint it was trained from; none for a base", True),
        _ref("training_id", "the training that made it; none for a base", True),
        _ref("role", "policy, judge, reward, process or teacher"),
        _ref("path", "its folder, relative to the lake where it lies in it; an endpoint's URL"),
        _ref("origin", "where a base comes from, JSON", True),
    ),
)

EVALUATIONS = Table(
    "evaluations",
    "One metric of one checkpoint on one suite.",
    "evaluation_id",
    (
        _id("evaluation"),
        _ref("checkpoint_id", "the checkpoint measured"),
        _ref("suite", "hash of the held-out prompts, verifier and sampling settings"),
        _ref("metric", "accuracy (greedy), pass@1, pass@k, maj@k, mean_tokens"),
        Column("value", FLOAT, "the metric; a share unless named otherwise"),
        Column("n", INT, "prompts it covers"),
        Column("low", FLOAT, "lower end of the 95% confidence interval", True),
        Column("high", FLOAT, "upper end of the 95% confidence interval", True),
    ),
)

AUDITS = Table(
    "audits",
    "One reading of one monitor.",
    "audit_id",
    (
        _id("audit"),
        _ref("monitor", "name of the monitor"),
        _ref("metric", "what was read"),
        _ref("subject", "the part it was read on, such as a topic; none: the whole round", True),
        Column("value", FLOAT, "the reading; none where there was nothing to read", True),
        Column("baseline", FLOAT, "the reading it is held against", True),
        _ref("against", "what the baseline is: round 0, the last round ...", True),
        Column("threshold", FLOAT, "the value at which it warns", True),
        _ref("verdict", "pass, warn or stop"),
    ),
)

ROUNDS = Table(
    "rounds",
    "One state of a round: started, then finished (promoted), held or stopped.",
    "event_id",
    (
        _id("event"),
        _ref("state", "started, finished, held or stopped"),
        _ref("recipe", "name of the recipe"),
        _ref("recipe_hash", "hash of its values"),
        _ref("recipe_values", "JSON"),
        Column("night_begins", INT, "the first round of the night that this one belongs to"),
        Column("night_ends", INT, "the round after the last one of the night that this one belongs to"),
        _ref("champion_in", "checkpoint the round began with"),
        _ref("challenger", "checkpoint the round trained", True),
        _ref("champion_out", "checkpoint the round leaves as champion", True),
        _ref("reason", "why it was promoted, held or stopped", True),
        _ref("seconds", "seconds by step in the process that closed the round, JSON", True),
    ),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        PROMPTS,
        CANDIDATES,
        TOKENS,
        REQUESTS,
        SCORES,
        CRITIQUES,
        PREFERENCES,
        DECISIONS,
        SNAPSHOTS,
        TRAININGS,
        STEPS,
        CHECKPOINTS,
        EVALUATIONS,
        AUDITS,
        ROUNDS,
    )
}
