"""Critique and revision of a round's answers: each a fact with what it was made from, each once.

A revision round is a phase. In it a principle is drawn for each answer, the model criticises the answer by
it, and revises it; what cannot be asked or used is a decision with its reason, and the next phase goes on
from the last text that could be used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl
from transformers import PreTrainedTokenizerBase

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.filter import length_filter, with_decision_ids
from flows.steps.generate import answers
from flows.steps.task import shards, step_task
from flows.writers.engines import chat_of, engine_of, text_settings
from schemas.recipes.constitutional import Constitutional
from schemas.units import Unit
from tasks.critique.asking import Asked, critique_prompt, put_whole, revision_prompt
from tasks.critique.draw import drawn_principle
from tasks.critique.rows import critique_rows, revision_rows
from tasks.filter.chain import run_chain, survivors
from tasks.filter.decision import Filter
from tasks.filter.finished import finished
from tasks.filter.revision import (
    changes_something,
    criticisable,
    criticised,
    holds_no_marks,
    opens_as_answer,
    refuses,
    repeats_critique,
    revisable,
    says_something,
)
from tasks.generate.engine import Sample, first_seed
from tasks.models.asking import put
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import Conversation, Prompt, plain_text, prompt_columns, prompts_of
from tasks.models.neutral import special_texts

TEXT = ("candidate_id", "prompt_id", "split", "sample_index", "text", "prompt", "messages")


def respond(round_: Round[Constitutional], prompts: pl.DataFrame) -> pl.DataFrame:
    """The champion's answers to red-team prompts: rows of table `candidates`."""
    sampling = round_.recipe.sampling
    parts, frames = shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size), []
    with round_.step("respond", prompts.height * sampling.samples, "answers") as advance:
        for number, ids in enumerate(parts):
            shard = prompts.filter(pl.col("prompt_id").is_in(ids))
            unit = round_.unit("respond", number)
            frames.append(answers(round_, shard, round_.champion, sampling, unit, round_.seed, advance))
    return pl.concat(frames)


def revise(round_: Round[Constitutional], prompts: pl.DataFrame, responses: pl.DataFrame) -> pl.DataFrame:
    """The revisions of all revision rounds: columns as `TEXT`, `usable` and `revision`, its round from 1."""
    current = responses.join(prompt_columns(prompts), on="prompt_id").select(TEXT)
    ids, rounds = prompts["prompt_id"].to_list(), []
    for number in range(1, round_.recipe.revisions + 1):
        phase = round_.in_phase(number, "revision")
        written = []
        with phase.step("revise", current.height, "answers") as advance:
            for shard, own in enumerate(shards(ids, round_.recipe.shard_size)):
                part = current.filter(pl.col("prompt_id").is_in(own)).sort("candidate_id")
                written.append(_revised(phase, number, part, shard, advance))
        revisions = pl.concat(written).with_columns(revision=pl.lit(number, pl.Int64))
        usable = revisions.filter("usable").select(TEXT)
        unchanged = current.join(usable, on=["prompt_id", "sample_index"], how="anti")
        current = pl.concat([unchanged, usable])
        rounds.append(revisions)
    return pl.concat(rounds)


@step_task
def _revised(
    round_: Round[Constitutional], number: int, texts: pl.DataFrame, shard: int, advance: Advance
) -> pl.DataFrame:
    """One shard of a revision round: critiques, revisions, decisions on both. Returns the revisions."""
    log, asker = round_.log, _Asker.of(round_)
    criticise, revise_ = round_.unit("critique", shard), round_.unit("revise", shard)
    asked = asker.critiques(texts, number)
    critiques = log.once(criticise, "critiques", lambda: asker.criticised(asked, criticise))
    followed = asker.revisions(asked, critiques)
    decide = [criticisable, criticised, revisable]
    decisions = log.once(criticise, "decisions", lambda: _decided(round_, followed, decide, "critique"))
    going_on = followed.join(survivors(decisions), on="candidate_id", how="semi", maintain_order="left")
    revisions = log.once(revise_, "candidates", lambda: asker.revised(going_on, revise_))
    columns = going_on.select("critique_id", "critique", "prompt", "messages", revised="text")
    written = revisions.join(columns, on="critique_id", maintain_order="left")
    usable_if = _usable(round_, special_texts(asker.tokenizer))
    verdicts = log.once(revise_, "decisions", lambda: _decided(round_, written, usable_if, "revise"))
    advance(texts.height)
    usable = pl.col("candidate_id").is_in(survivors(verdicts)["candidate_id"].implode())
    return written.select(*TEXT, usable=usable)


def _decided(
    round_: Round[Constitutional], frame: pl.DataFrame, filters: Sequence[Filter], step: str
) -> pl.DataFrame:
    return with_decision_ids(round_, run_chain(frame, filters)[0], step)


def _usable(round_: Round[Constitutional], specials: Sequence[str]) -> list[Filter]:
    """The filters of revisions, in order; `specials` are the model's own tokens."""
    revising = round_.recipe.revising
    return [
        says_something,
        finished,
        partial(holds_no_marks, specials=specials),
        partial(opens_as_answer, openings=revising.openings),
        partial(refuses, refusals=revising.refusals),
        partial(repeats_critique, most=revising.critique_overlap),
        changes_something,
        length_filter(round_),
    ]


@dataclass(frozen=True)
class _Asker:
    """Who criticises and revises in a revision round, and what it is asked."""

    round: Round[Constitutional]
    tokenizer: PreTrainedTokenizerBase
    room: int | None

    @classmethod
    def of(cls, round_: Round[Constitutional]) -> _Asker:
        champion, longest = round_.champion, round_.recipe.revising_sampling.max_tokens
        context = context_length(champion.folder)
        tokenizer = load_tokenizer(champion.folder, chat_of(round_.recipe, champion))
        return cls(round_, tokenizer, None if context is None else context - longest)

    def critiques(self, texts: pl.DataFrame, number: int) -> pl.DataFrame:
        """Texts with the principle drawn for each, and why its critique cannot be asked for (`unaskable`)."""
        recipe, round_ = self.round.recipe, self.round
        drawn = [
            drawn_principle(
                recipe.read_constitution,
                number,
                recipe.revising.again,
                recipe.seed,
                round_.number,
                *_said(prompt),
                index,
            )
            for prompt, index in zip(self._prompts(texts), texts["sample_index"], strict=True)
        ]
        named = texts.with_columns(pl.Series("principle", [one.id for one in drawn], dtype=pl.String))
        refusals = [one.refusal for one in self._critiques(named)]
        return named.with_columns(pl.Series("unaskable", refusals, dtype=pl.String))

    def criticised(self, asked: pl.DataFrame, unit: Unit) -> pl.DataFrame:
        """A critique of each text that can be asked for one: rows of table `critiques`."""
        askable = asked.filter(pl.col("unaskable").is_null())
        samples = self._written(self._critiques(askable), askable, unit)
        return critique_rows(
            askable,
            samples,
            checkpoint_id=self.round.champion.id,
            round_number=self.round.number,
            constitution=self.round.recipe.read_constitution.label,
        )

    def revisions(self, asked: pl.DataFrame, critiques: pl.DataFrame) -> pl.DataFrame:
        """Texts with their critiques, and why no revision can be asked for (`unrevisable`)."""
        columns = critiques.select(
            "candidate_id", "critique_id", critique="text", critique_finish="finish_reason"
        )
        rows = asked.join(columns, on="candidate_id", how="left", maintain_order="left")
        refusals = [None if one is None else one.refusal for one in self._revisions(rows)]
        return rows.with_columns(pl.Series("unrevisable", refusals, dtype=pl.String))

    def revised(self, rows: pl.DataFrame, unit: Unit) -> pl.DataFrame:
        """A revision of each text that can be asked for one: rows of table `candidates`."""
        recipe = self.round.recipe
        samples = self._written([one for one in self._revisions(rows) if one], rows, unit)
        asking = {} if recipe.prompts.asking.is_plain else {"asked": recipe.prompts.asking.label}
        more = {
            "constitution": recipe.read_constitution.label,
            **asking,
            **text_settings(recipe, self.round.champion),
        }
        return revision_rows(
            rows,
            samples,
            recipe.revising_sampling,
            checkpoint_id=self.round.champion.id,
            round_number=self.round.number,
            further=recipe.revising_sampling.further(**more),
        )

    def _critiques(self, rows: pl.DataFrame) -> list[Asked]:
        law = self.round.recipe.read_constitution
        columns = zip(self._prompts(rows), rows["principle"], rows["text"], strict=True)
        return [
            self._asked(partial(critique_prompt, law, law.principle(principle), prompt, text))
            for prompt, principle, text in columns
        ]

    def _revisions(self, rows: pl.DataFrame) -> list[Asked | None]:
        """None where there is no critique."""
        law = self.round.recipe.read_constitution
        columns = zip(self._prompts(rows), rows["principle"], rows["text"], rows["critique"], strict=True)
        return [
            None
            if critique is None
            else self._asked(partial(revision_prompt, law, law.principle(principle), prompt, text, critique))
            for prompt, principle, text, critique in columns
        ]

    def _asked(self, conversation: Callable[[], Conversation]) -> Asked:
        return put_whole(self.tokenizer, self.room, conversation)

    def _prompts(self, rows: pl.DataFrame) -> list[Prompt]:
        asking = self.round.recipe.prompts.asking
        return [put(one, asking) for one in prompts_of(rows, "prompt")]

    def _written(self, asked: Sequence[Asked], rows: pl.DataFrame, unit: Unit) -> list[Sample]:
        """One sample for each conversation, whose seed goes by what it says."""
        inputs = [one.prompt for one in asked if one.prompt is not None]
        what = (unit.step, self.round.seed, self.round.number)
        pairs = zip(inputs, rows["sample_index"], strict=True)
        seeds = [first_seed(*what, index, *_said(prompt)) for prompt, index in pairs]
        if not inputs:
            return []
        with self.round.model_at_work():
            engine = engine_of(self.round, self.round.champion, unit)
            drawn = engine.generate(inputs, self.round.recipe.revising_sampling, seeds)
        return [one for (one,) in drawn]


def _said(prompt: Prompt) -> tuple[str, ...]:
    """What a prompt says, as parts of a hash."""
    return (plain_text(prompt), prompt.json) if isinstance(prompt, Conversation) else (prompt,)
