"""What a fact is: every event table, column by column.

Each table is append-only, partitioned by `loop` and `round`, and begins with the columns that all share.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.columns import (
    BOOL,
    FLOAT,
    FLOATS,
    INT,
    INTS,
    SMALL_FLOATS,
    SMALL_INTS,
    TEXT,
    TEXTS,
    Column,
    Table,
)

FORMAT = 1  # of the whole lake; another number is another schema and is refused


def _id(kind: str) -> Column:
    """The id that a row is known by."""
    return Column(f"{kind}_id", TEXT, f"id of the {kind}")


def _text(name: str, doc: str, nullable: bool = False) -> Column:
    return Column(name, TEXT, doc, nullable)


def _link(name: str, to: str, doc: str, nullable: bool = False) -> Column:
    """A column that names a row of a table by its id, or by the column given as "table.column"."""
    return Column(
        name,
        TEXT,
        doc,
        nullable,
        tuple(one if "." in one else f"{one}.{one[:-1]}_id" for one in to.split(" | ")),
    )


PROMPTS = Table(
    "prompts",
    "A prompt admitted to a loop.",
    "prompt_id",
    (
        _id("prompt"),
        _text(
            "split",
            "train, eval (never trained on), seed (demonstrated), refused (why: refusal), invention (asks), "
            "red-team, red-team-kept (for preferences), red-team-eval and look-alike (never trained on)",
        ),
        _text("source", "a file's name, the tutor's family and seed, invented:<writer> or inventor:<label>"),
        Column("line", INT, "line or record of the source, or place among the texts asked for, from 1", True),
        _text("text", "the prompt as the model sees it; of a conversation, as people read it"),
        _text("reference", "the reference answer, as the source gave it", True),
        Column("tests", TEXTS, "unit tests, for programs", True),
        _text("topic", "topic, where the source names one", True),
        Column("difficulty", INT, "steps a solution needs, where the source says", True),
        Column(
            "parents",
            TEXTS,
            "prompts it was invented from, as shown; none: not invented",
            True,
            ("prompts.prompt_id",),
        ),
        _text("messages", "a conversation: JSON of {role, content}; none: the one user message `text`", True),
        _text("refusal", "why it was refused; none: it was not, or by an older program", True),
        _text("problem", "the problem that it tells, as other prompts may too; none: its own", True),
        _text(
            "format",
            "the source's format: json, csv, tsv, parquet, arrow, folder; none: JSONL, or no file",
            True,
        ),
    ),
)

CANDIDATES = Table(
    "candidates",
    "One text that a checkpoint, a teacher or a reference wrote for a prompt.",
    "candidate_id",
    (
        _id("candidate"),
        _link("prompt_id", "prompts", "the prompt it answers"),
        _link("checkpoint_id", "checkpoints", "the checkpoint that wrote it; none for a reference", True),
        _text("kind", "answer, reference, demonstration, judgement, revision, instruction, game ..."),
        _text("split", "split of its prompt"),
        Column("sample_index", INT, "index among the samples of one prompt, from 0"),
        _text("text", "the text"),
        _text("finish_reason", "stop or length; none for a reference", True),
        Column("token_count", INT, "tokens generated, the end token included", True),
        Column("logprob_sum", FLOAT, "sum of the tokens' log-probabilities, nats, temperature 1", True),
        Column("temperature", FLOAT, "sampling temperature; 0 is greedy", True),
        Column("top_p", FLOAT, "nucleus mass sampled from", True),
        Column("max_tokens", INT, "limit on generated tokens", True),
        Column("seed", INT, "seed of this sample", True),
        Column(
            "parents",
            TEXTS,
            "candidates it was made from; of a judgement: those judged, as shown",
            True,
            ("candidates.candidate_id",),
        ),
        _text(
            "settings",
            "JSON of what else decided the draw: stop, top_k, how it was asked (its label) ...",
            True,
        ),
        _link("critique_id", "critiques", "of a revision: the critique that it follows", True),
        Column("prompt_tokens", INT, "tokens of what was asked; none: not counted", True),
    ),
)

TOKENS = Table(
    "tokens",
    "The tokens of one candidate (optional; apart because they are ten times the text).",
    "candidate_id",
    (
        _link("candidate_id", "candidates", "id of the candidate"),
        Column("token_ids", INTS, "token ids generated"),
        Column("logprobs", FLOATS, "log-probability of each, nats, temperature 1"),
        Column(
            "tempered_logprobs",
            FLOATS,
            "the same at the candidate's temperature, before any cut; none: it is 1",
            True,
        ),
    ),
)

SOFT_TARGETS = Table(
    "soft_targets",
    "What a teacher says of each place of one text: `k` next tokens with their log-probabilities, place "
    "after place in one list.",
    "candidate_id",
    (
        _link("candidate_id", "candidates", "id of the text"),
        _link("checkpoint_id", "checkpoints", "the teacher"),
        _text("support", "top-k: its likeliest tokens, likeliest first; sampled: as many drawn from it"),
        Column("k", INT, "tokens at each place"),
        Column("temperature", FLOAT, "that its distribution was taken at"),
        Column("teacher_ids", SMALL_INTS, "token ids, k a place"),
        Column("teacher_logprobs", SMALL_FLOATS, "log-probability of each, nats, at that temperature"),
        Column(
            "tail_logprobs",
            SMALL_FLOATS,
            "log of the mass of all other tokens, one a place; none: they were drawn",
            True,
        ),
        Column("logprobs", SMALL_FLOATS, "log-probability of each token of the text, nats, temperature 1"),
    ),
)

REQUESTS = Table(
    "requests",
    "One request to an endpoint, and all that came of it: candidates are made from these rows.",
    "request_id",
    (
        _id("request"),
        _link("checkpoint_id", "checkpoints", "the checkpoint that was asked"),
        _link("prompt_id", "prompts", "the prompt; none where a judge was asked", True),
        _text("prompt_hash", "SHA-256 of what was asked, 64 hex digits"),
        Column("seed", INT, "seed of the first sample asked for"),
        Column("sample_index", INT, "index of the first sample asked for"),
        Column("samples", INT, "samples asked for"),
        _text(
            "state", "finished, failed (for good), or unanswered (the endpoint gave out: it is asked again)"
        ),
        _text("error", "why samples are missing, in one line", True),
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

ROLLOUTS = Table(
    "rollouts",
    "What one answer is credited with: its reward, and what a policy gradient makes of it, token by token.",
    "candidate_id",
    (
        _link("candidate_id", "candidates", "id of the answer"),
        _link("prompt_id", "prompts", "its prompt"),
        _link("checkpoint_id", "checkpoints", "the policy that drew it"),
        Column(
            "reward", FLOAT, "the weighted sum of its parts; none: a verdict that counts is not known", True
        ),
        _text("rewards", "JSON of each part's value, before its weight"),
        _text("estimator", "how advantages were estimated"),
        _text("grouped_by", "what its reward was compared within: a prompt, a role", True),
        Column("advantages", FLOATS, "one a token; none: no reward, or its tokens are not on record", True),
        Column("returns", FLOATS, "what a critic should expect before each token; none: no critic", True),
        Column("values", FLOATS, "what the critic expected there; none: no critic", True),
        Column(
            "reference_logprobs",
            FLOATS,
            "log-probability of each token by the reference, nats, at the candidate's temperature",
            True,
        ),
    ),
)

SCORES = Table(
    "scores",
    "One verdict of one verifier on one candidate.",
    "score_id",
    (
        _id("score"),
        _link("candidate_id", "candidates", "the candidate judged"),
        _link("prompt_id", "prompts", "its prompt"),
        _text("verifier", "name of the verifier"),
        _text("verifier_version", "its version"),
        _text("verifier_kind", "rule, program, judge, reward ..."),
        _text("outcome", "pass, fail, timeout, error, tampered or unscorable"),
        Column("value", FLOAT, "the score; only pass and fail have one", True),
        Column("steps", FLOATS, "one value a step: 1 holds, 0 does not; of a judge: its valid votes", True),
        _text("answer", "the final answer as the verifier read it", True),
        Column("path", TEXTS, "the ordered equations: the reasoning path", True),
        _text("rationale", "why, in one line", True),
        _link("judge_checkpoint_id", "checkpoints", "the judge's checkpoint", True),
        _text(
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
        _link("candidate_id", "candidates", "the candidate criticised"),
        _text("principle", "the principle it was held against"),
        _text("text", "the critique"),
        _link("checkpoint_id", "checkpoints", "the critic's checkpoint"),
        Column("sample_index", INT, "index among the critiques by one critic of one candidate, from 0", True),
        Column("seed", INT, "seed of this critique", True),
        _link("prompt_id", "prompts", "the prompt that the candidate answers", True),
        _text("constitution", "label of the constitution that holds the principle", True),
        _text("finish_reason", "stop or length", True),
        Column("token_count", INT, "tokens generated, the end token included", True),
    ),
    sorted_by=("candidate_id",),
)

PREFERENCES = Table(
    "preferences",
    "One judged pair of candidates.",
    "preference_id",
    (
        _id("preference"),
        _link("prompt_id", "prompts", "the prompt both answer"),
        _link("chosen_id", "candidates", "the preferred candidate"),
        _link("rejected_id", "candidates", "the other"),
        Column("probability", FLOAT, "that chosen is better, 0.5 to 1; none: no verdict was given", True),
        _text("principle", "the principle judged by", True),
        Column(
            "chosen_value",
            FLOAT,
            "reward of chosen: its judge's mean points, less any penalty for length",
            True,
        ),
        Column("rejected_value", FLOAT, "reward of rejected, likewise", True),
        Column("chosen_first", BOOL, "whether the judge was shown chosen first; none: both orders", True),
        _link("judge_checkpoint_id", "checkpoints", "the judge's checkpoint", True),
        _text("source", "where people's choice stands: a file's name and line; none: a model chose", True),
        _text("reason", "why there is no verdict, or none for either side, in one line", True),
    ),
    sorted_by=("prompt_id",),
)

DECISIONS = Table(
    "decisions",
    "One filter's decision on one candidate; a later filter sees only what the one before kept.",
    "decision_id",
    (
        _id("decision"),
        _link("candidate_id", "candidates", "the candidate decided on, of this or an earlier round"),
        _link("prompt_id", "prompts", "its prompt"),
        _text("filter", "name of the filter"),
        Column("position", INT, "place of the filter in the recipe's chain, from 0"),
        Column("kept", BOOL, "whether the candidate goes on"),
        _text("reason", "why not; none when kept", True),
        Column("value", FLOAT, "the value it decided by", True),
        Column("rank", INT, "rank among its prompt's candidates, from 0", True),
        _link(
            "duplicate_of",
            "candidates | prompts",
            "the candidate kept in its place, or the prompt it is too like",
            True,
        ),
        _text("chain", "the chain of filters, by the step and phase that ran it; none: an older lake", True),
    ),
    sorted_by=("candidate_id", "position"),
)

SNAPSHOTS = Table(
    "snapshots",
    "One frozen training set.",
    "snapshot_id",
    (
        _id("snapshot"),
        _text("content_hash", "SHA-256 over the canonical rows, 64 hex digits"),
        _text("purpose", "the objective it is for"),
        Column("rows", INT, "examples"),
        Column("units", TEXTS, "units of work its rows were drawn from"),
        _text("selection", "the SQL that selected the rows"),
        _text("path", "its folder, relative to the lake"),
        _text("files", "the folder's files: JSON of name to [size, SHA-256]", True),
        _text(
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
        _text("state", "started, finished or failed"),
        _text("objective", "the objective"),
        _link("snapshot_id", "snapshots", "the snapshot it reads"),
        _link("base_checkpoint_id", "checkpoints", "the checkpoint it starts from"),
        _text("checkpoint_id", "the checkpoint it made", True),
        _text("hyperparameters", "JSON"),
        Column("seed", INT, "seed of order and dropout"),
        _text("devices", "devices trained on", True),
        _text("versions", "library versions, JSON", True),
        Column("step_count", INT, "optimizer steps taken", True),
        Column("tokens", INT, "tokens of all steps' examples, prompts included, padding not", True),
        Column("loss", FLOAT, "loss of the last step, as table steps has it", True),
        Column("seconds", FLOAT, "wall time of the job", True),
        _text("error", "why it failed", True),
        _text("files", "what a finished job left in the lake: JSON of name to [size, SHA-256]", True),
        Column("tokens_per_second", FLOAT, "over the time in steps; padding not counted", True),
        Column("peak_memory_bytes", INT, "most that one GPU, or on a CPU the process, held", True),
        _link(
            "optimizer_from",
            "trainings.training_id",
            "the training whose optimizer it goes on with; none: a new one",
            True,
        ),
        _link("teacher_id", "checkpoints", "the teacher that it asked while it trained; none: nobody", True),
    ),
)

STEPS = Table(
    "steps",
    "One optimizer step and the examples in its batch.",
    "step_id",
    (
        _id("step"),
        _link("training_id", "trainings.training_id", "the training"),
        Column("step", INT, "number of the step, from 0"),
        Column("epoch", INT, "pass over the snapshot, from 0"),
        Column("example_ids", TEXTS, "examples in the batch, over all devices"),
        Column(
            "loss", FLOAT, "nats a token (sft, distil) or a pair (dpo, reward); half a squared error (value)"
        ),
        Column("learning_rate", FLOAT, "of this step"),
        Column("grad_norm", FLOAT, "before clipping"),
        Column("tokens", INT, "tokens of the batch's examples, prompts included, padding not"),
        Column(
            "reward_accuracy", FLOAT, "share of pairs whose chosen has the higher reward (dpo, reward)", True
        ),
        Column("reward_margin", FLOAT, "mean reward of chosen less that of rejected (dpo, reward)", True),
        Column(
            "reward_chosen",
            FLOAT,
            "mean reward of chosen: beta times its log-ratio (dpo), its score (reward)",
            True,
        ),
        Column("demonstration_loss", FLOAT, "nats a token, mean over demonstrations (dpo)", True),
        Column("seconds", FLOAT, "wall time of the step", True),
        Column("peak_memory_bytes", INT, "most that one GPU, or on a CPU the process, held until then", True),
        _text("metrics", "what else the objective measured: JSON of name to mean over the step", True),
    ),
    sorted_by=("training_id", "step"),
)

CHECKPOINTS = Table(
    "checkpoints",
    "One set of weights.",
    "checkpoint_id",
    (
        _id("checkpoint"),
        _text(
            "content_hash", "SHA-256 over the tensors, 64 hex digits; behind an endpoint: over its address"
        ),
        _link("parent_id", "checkpoints", "the checkpoint it was trained from; none for a base", True),
        _link("training_id", "trainings.training_id", "the training that made it; none for a base", True),
        _text("role", "policy, judge, reward, value, process or teacher"),
        _text("path", "its folder, relative to the lake where it lies in it; an endpoint's URL"),
        _text("origin", "where a base comes from, JSON", True),
        _text("files_hash", "SHA-256 over configuration, tokenizer and template; none: not known", True),
    ),
)

EVALUATIONS = Table(
    "evaluations",
    "One metric of one checkpoint on one suite.",
    "evaluation_id",
    (
        _id("evaluation"),
        _link("checkpoint_id", "checkpoints", "the checkpoint measured"),
        _text("suite", "hash of the held-out prompts (or pairs), verifier and settings"),
        _text(
            "metric",
            "accuracy (greedy), pass@1, pass@k, maj@k, mean_tokens; of pairs: accuracy, loss, brier, ece ...",
        ),
        Column("value", FLOAT, "the metric; a share unless named otherwise"),
        Column("n", INT, "prompts, or pairs, that it covers"),
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
        _text("monitor", "name of the monitor"),
        _text("metric", "what was read"),
        _text("subject", "the part it was read on, such as a topic; none: the whole round", True),
        Column("value", FLOAT, "the reading; none where there was nothing to read", True),
        Column("baseline", FLOAT, "the reading it is held against", True),
        _text("against", "what the baseline is: round 0, the last round ...", True),
        Column("threshold", FLOAT, "the value at which it warns", True),
        _text("verdict", "pass, warn, stop, or none: the reading could not be made"),
        _text("reason", "why a reading could not be made", True),
    ),
)

ROUNDS = Table(
    "rounds",
    "One state of a round: started, then finished (promoted), held or stopped.",
    "event_id",
    (
        _id("event"),
        _text("state", "started, finished, held or stopped"),
        _text("recipe", "name of the recipe"),
        _text("recipe_hash", "hash of its values"),
        _text("recipe_values", "JSON"),
        Column("night_begins", INT, "the first round of the night that this one belongs to"),
        Column("night_ends", INT, "the round after the last one of the night that this one belongs to"),
        _link("champion_in", "checkpoints", "checkpoint the round began with"),
        _link("challenger", "checkpoints", "checkpoint the round trained", True),
        _link("champion_out", "checkpoints", "checkpoint the round leaves as champion", True),
        _text("reason", "why it was promoted, held or stopped", True),
        _text("seconds", "seconds by step in the process that closed the round, JSON", True),
    ),
)

RETRACTIONS = Table(
    "retractions",
    "Something taken back, in every loop: later freezes leave out what was made from it by data.",
    "retraction_id",
    (
        _id("retraction"),
        _text("what", "an id, or source=..., verifier=..., judge=... or principle=..., as impact takes them"),
        _text("why", "why it was taken back"),
    ),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        PROMPTS,
        CANDIDATES,
        TOKENS,
        SOFT_TARGETS,
        ROLLOUTS,
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
        RETRACTIONS,
    )
}
