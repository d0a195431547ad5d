"""A model as judge: candidates and a rubric in, judgements and scores out.

Each candidate is judged `rubric.votes` times; votes are parsed strictly and the valid ones averaged. Fewer
valid votes than the rubric asks for are an `error`. A text that says nothing (tasks/models/neutral.py) fails
with the menu's lowest points and is shown to no judge; one that does not fit the judge's context, or whose
special tokens cannot be broken, is `unscorable`.

A judge prompt is one user message, put through the chat template where the tokenizer has one. It holds the
rubric's instructions too, so that a template without a system role works as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from schemas.identity import judgement_id, score_id
from schemas.tables import CANDIDATES, SCORES
from tasks.generate.engine import Engine, Progress, PromptRefused, Sample, first_seed
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.neutral import quoted, quoted_prompt, says_nothing, special_texts
from tasks.verify.judge.expected import Menu, menu_tokens
from tasks.verify.judge.judgement import Vote, mean_verdict, read_vote
from tasks.verify.judge.rubric import Rubric
from tasks.verify.references import accepted_of
from tasks.verify.scores import Role
from tasks.verify.verifier import Verdict

NAME = "judge"
_TOO_LONG = Verdict("unscorable", None, reason="too long for the judge's context")


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """An answer for a judge, with its prompt; `reference` is the right answer, where the judge may see it."""

    prompt: Prompt
    answer: str | None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class VotedVerdict:
    """A verdict with what it rests on: the judge's texts and the votes read from them, in order."""

    verdict: Verdict
    samples: tuple[Sample, ...] = ()
    votes: tuple[Vote, ...] = ()


def judge_answers(
    engine: Engine,
    rubric: Rubric,
    inputs: Sequence[JudgeInput],
    *,
    seed: int = 0,
    round_number: int = 0,
    progress: Progress | None = None,
    logits: bool = False,
) -> list[VotedVerdict]:
    """A verdict on each answer, in order. Equal judge prompts get equal judgements.

    `value` is the mean of the valid votes in points of the rubric; from `rubric.pass_from` on it is a pass.
    `steps` are the valid votes: with `logits` the points that the judge expects, for which the engine must
    offer its probabilities (BadInput where it does not).
    """
    menu = menu_tokens(engine, rubric) if logits else None
    texts, refused = _judge_prompts(engine, rubric, inputs)
    judgement_samples = judgements(engine, rubric, list(texts.values()), seed, round_number, progress)
    samples = dict(zip(texts, judgement_samples, strict=True))
    return [
        VotedVerdict(refused[place])
        if place in refused
        else _voted(samples[place], rubric, menu, texts[place])
        for place in range(len(inputs))
    ]


def _judge_prompts(
    engine: Engine, rubric: Rubric, inputs: Sequence[JudgeInput]
) -> tuple[dict[int, str], dict[int, Verdict]]:
    """Judge prompts by place in `inputs`, and by place the verdicts that need no judge."""
    specials = special_texts(getattr(engine, "tokenizer", None))
    texts: dict[int, str] = {}
    refused: dict[int, Verdict] = {}
    for place, one in enumerate(inputs):
        early = _verdict_without_judge(one, rubric)
        if early is None:
            try:
                texts[place] = judge_prompt(rubric, one, specials)
            except ValueError as error:
                early = Verdict("unscorable", None, reason=str(error))
        if early is not None:
            refused[place] = early
    return texts, refused


def judge_prompt(rubric: Rubric, about: JudgeInput, specials: Sequence[str] = ()) -> str:
    """The judge prompt about one answer: the rubric, filled with texts that are harmless to quote."""
    slots = {"prompt": quoted_prompt(about.prompt, specials), "answer": quoted(about.answer or "", specials)}
    accepted = None if about.reference is None else " or ".join(accepted_of(about.reference))
    reference = None if accepted is None else quoted(accepted, specials)
    return rubric.render(slots, reference)


def judgements(
    engine: Engine,
    rubric: Rubric,
    questions: Sequence[str],
    seed: int,
    round_number: int,
    progress: Progress | None = None,
) -> list[tuple[Sample, ...] | None]:
    """`rubric.votes` texts for each question; None for one that does not fit the judge's context.

    Each distinct question is asked once. Its seed comes from the rubric's label and its text.
    """
    if not questions:
        return []
    distinct = list(dict.fromkeys(questions))
    seeds = [first_seed("judgement", seed, round_number, rubric.label, text) for text in distinct]
    long: set[int] = set()
    while True:
        fitting = [i for i in range(len(distinct)) if i not in long]
        try:
            samples = engine.generate(
                [distinct[i] for i in fitting], rubric.sampling, [seeds[i] for i in fitting], progress
            )
            break
        except PromptRefused as error:  # names all that do not fit, before anything is generated
            long |= {fitting[i] for i in error.indices}
            if not error.indices:
                raise
    answers = dict(zip((distinct[i] for i in fitting), map(tuple, samples), strict=True))
    return [answers.get(text) for text in questions]


def judgement_rows(
    engine: Engine,
    rubric: Rubric,
    candidates: pl.DataFrame,
    *,
    judge_checkpoint_id: str,
    round_number: int,
    seed: int,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Judgements on candidates: candidate_id, prompt_id, split, prompt, text, maybe messages.

    Returns rows of table `candidates` (kind judgement, the judged candidate as parent). A column `reference`
    is shown to the judge where the rubric has a slot for it: leave it out to measure the judge against it.
    """
    rows = candidates.to_dicts()
    verdicts = judge_answers(
        engine, rubric, _inputs(candidates), seed=seed, round_number=round_number, progress=progress
    )
    return CANDIDATES.frame(
        [
            judgement_row(row, [row["candidate_id"]], sample, rubric, judge_checkpoint_id, round_number)
            for row, one in zip(rows, verdicts, strict=True)
            for sample in one.samples
        ]
    )


def verdict_rows(
    engine: Engine,
    rubric: Rubric,
    candidates: pl.DataFrame,
    texts_written: pl.DataFrame,
    *,
    judge_checkpoint_id: str,
    round_number: int,
    seed: int,
    role: Role = "filter",
) -> pl.DataFrame:
    """Verdicts (of a role) on candidates by their judgements: rows of table `scores`.

    Both are as judgement_rows takes and returns them. Only answers without a judgement are put to the engine
    again, to learn why they have none; nothing that it writes then counts.
    """
    rows = candidates.to_dicts()
    votes = _votes(rubric, texts_written)
    texts, verdicts = _judge_prompts(engine, rubric, _inputs(candidates))
    verdicts |= {
        place: mean_verdict(votes[rows[place]["candidate_id"]], rubric)
        for place in texts
        if rows[place]["candidate_id"] in votes
    }
    silent = [place for place in texts if place not in verdicts]
    judgement_samples = judgements(engine, rubric, [texts[place] for place in silent], seed, round_number)
    for place, samples in zip(silent, judgement_samples, strict=True):
        verdicts[place] = _TOO_LONG if samples is None else mean_verdict((), rubric)
    shared = {
        "verifier": NAME,
        "verifier_version": rubric.label,
        "verifier_kind": "judge",
        "judge_checkpoint_id": judge_checkpoint_id,
        "role": role,
    }
    return SCORES.frame(
        [
            {
                "score_id": score_id(
                    round_number, row["candidate_id"], NAME, rubric.label, judge_checkpoint_id
                ),
                "candidate_id": row["candidate_id"],
                "prompt_id": row["prompt_id"],
                "outcome": verdicts[place].outcome,
                "value": verdicts[place].value,
                "steps": list(verdicts[place].steps),
                "rationale": verdicts[place].reason,
                **shared,
            }
            for place, row in enumerate(rows)
        ]
    )


def _inputs(candidates: pl.DataFrame) -> list[JudgeInput]:
    return [
        JudgeInput(prompt, row["text"], row.get("reference"))
        for prompt, row in zip(prompts_of(candidates, "prompt"), candidates.to_dicts(), strict=True)
    ]


def _votes(rubric: Rubric, rows: pl.DataFrame) -> dict[str, tuple[Vote, ...]]:
    """The votes on each candidate, in the order of the samples."""
    votes: dict[str, tuple[Vote, ...]] = {}
    texts = rows.sort("sample_index").select("parents", "text", "finish_reason")
    for (judged,), text, reason in texts.iter_rows():
        votes[judged] = (*votes.get(judged, ()), read_vote(text, reason, rubric))
    return votes


def judgement_row(
    about: dict[str, Any],
    judged: Sequence[str],
    sample: Sample,
    rubric: Rubric,
    judge_checkpoint_id: str,
    round_number: int,
) -> dict[str, Any]:
    """One judge's text as a row of `candidates`; `judged` are the candidates in the order shown."""
    settings = (rubric.temperature, rubric.top_p, rubric.max_tokens)
    sampling = (judge_checkpoint_id, sample.index, sample.seed, *settings)
    return {
        "candidate_id": judgement_id(round_number, judged, *sampling),
        "prompt_id": about["prompt_id"],
        "checkpoint_id": judge_checkpoint_id,
        "kind": "judgement",
        "split": about["split"],
        "sample_index": sample.index,
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "token_count": sample.token_count,
        "logprob_sum": sample.logprob_sum,
        "temperature": rubric.temperature,
        "top_p": rubric.top_p,
        "max_tokens": rubric.max_tokens,
        "seed": sample.seed,
        "parents": list(judged),
    }


def _verdict_without_judge(one: JudgeInput, rubric: Rubric) -> Verdict | None:
    """The verdict that needs no judge, where there is one."""
    if one.answer is None:
        return Verdict("unscorable", None, reason="there is no text")
    if says_nothing(one.answer):
        return Verdict("fail", rubric.lowest, reason="the answer says nothing: no judge was asked")
    return None


def _voted(
    samples: tuple[Sample, ...] | None, rubric: Rubric, menu: Menu | None, question: str
) -> VotedVerdict:
    if samples is None:
        return VotedVerdict(_TOO_LONG)
    votes = tuple(read_vote(one.text, one.finish_reason, rubric) for one in samples)
    if menu is not None:
        votes = tuple(menu.weighed(question, one, vote) for one, vote in zip(samples, votes, strict=True))
    return VotedVerdict(mean_verdict(votes, rubric), samples, votes)
