"""A preference model as a verifier: its score of an answer to a prompt.

The value of a verdict is the raw score, whose zero means nothing by itself: scores of one model compare.
From `PASS_FROM` on it is a pass. A text cannot speak as another: an answer that holds a special token of the
model, or the words that its template puts between turns, is `tampered` and has no value. One that does not
fit the model's context is `unscorable`; nothing is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from schemas.errors import BadInput
from schemas.identity import score_id
from schemas.job import Chat
from schemas.tables import SCORES
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.rendering import forged, forged_in_answer
from tasks.models.scalar import BATCH, answer_sequences, text_scores
from tasks.verify.scores import Role
from tasks.verify.verifier import Verdict

NAME, KIND, RULES = "reward", "reward", "1"
PASS_FROM = 0.0


def version_of(weights_hash: str) -> str:
    """The verifier's version: that of these rules, and the model's weights."""
    return f"{RULES}-{weights_hash[:12]}"


def reward_verdicts(
    folder: Path,
    prompts: Sequence[Prompt],
    answers: Sequence[str | None],
    *,
    chat: Chat = PLAIN,
    batch: int = BATCH,
) -> list[Verdict]:
    """A verdict on each answer to its prompt, in order, by the preference model in `folder`.

    ModelError where the folder holds none.
    """
    tokenizer, context = load_tokenizer(folder, chat), context_length(folder)
    verdicts: dict[int, Verdict] = {}
    places: list[int] = []
    for place, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        if answer is None:
            verdicts[place] = Verdict("unscorable", None, reason="there is no text")
        elif forged_in_answer(tokenizer, answer) is not None:
            verdicts[place] = Verdict(
                "tampered", None, reason="the answer holds the model's own marks of a turn"
            )
        elif forged(tokenizer, prompt) is not None:
            verdicts[place] = Verdict(
                "unscorable", None, reason="the prompt holds the model's own marks of a turn"
            )
        else:
            places.append(place)
    texts = [answers[place] or "" for place in places]
    sequences = answer_sequences(tokenizer, [prompts[place] for place in places], texts)
    fitting = []
    for place, sequence in zip(places, sequences, strict=True):
        if context is not None and len(sequence) > context:
            reason = f"{len(sequence)} tokens, more than the model's {context}"
            verdicts[place] = Verdict("unscorable", None, reason=reason)
        else:
            fitting.append((place, sequence))
    scores = text_scores(folder, [sequence for _, sequence in fitting], batch)
    for (place, _), score in zip(fitting, scores, strict=True):
        outcome = "pass" if score >= PASS_FROM else "fail"
        verdicts[place] = Verdict(outcome, score, reason=f"score {score:.4g}")  # type: ignore[arg-type]
    return [verdicts[place] for place in range(len(answers))]


def rewards(
    folder: Path, prompts: Sequence[Prompt], answers: Sequence[str | None], *, chat: Chat = PLAIN
) -> list[float | None]:
    """The score of each answer by a preference model; None where it has none (`reward_verdicts`)."""
    return [one.value for one in reward_verdicts(folder, prompts, answers, chat=chat)]


def reward_rows(
    folder: Path,
    candidates: pl.DataFrame,
    *,
    checkpoint_id: str,
    version: str,
    round_number: int,
    role: Role = "also",
    chat: Chat = PLAIN,
) -> pl.DataFrame:
    """Rows of table `scores`: the verdicts of a checkpoint of role `reward` on candidates (columns
    candidate_id, prompt_id, prompt, text and maybe messages).
    """
    texts: list[str | None] = candidates["text"].to_list()
    if candidates["candidate_id"].is_duplicated().any():
        raise BadInput("a candidate is to be scored twice: give each candidate_id one row")
    verdicts = reward_verdicts(folder, prompts_of(candidates, "prompt"), texts, chat=chat)
    ids = candidates.select("candidate_id", "prompt_id").iter_rows()
    return SCORES.frame(
        [
            {
                "score_id": score_id(round_number, candidate, NAME, version, checkpoint_id),
                "candidate_id": candidate,
                "prompt_id": prompt,
                "verifier": NAME,
                "verifier_version": version,
                "verifier_kind": KIND,
                "outcome": verdict.outcome,
                "value": verdict.value,
                "steps": [],
                "rationale": verdict.reason,
                "judge_checkpoint_id": checkpoint_id,
                "role": role,
            }
            for (candidate, prompt), verdict in zip(ids, verdicts, strict=True)
        ]
    )
