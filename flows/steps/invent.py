"""Prompt invention: a model writes new prompts from few-shot examples, and what the filters keep is admitted.

Everything is a fact: what the model was asked is a prompt of split `invention` whose parents are the examples
shown, every text it wrote is a candidate of kind `instruction`, every rejection a decision with its reason,
and what is kept is a training prompt with the same parents and the same `line` as the question it came from.

A batch is judged against the prompts kept from all before it, so batches come one after the other. Each is
four units (question, text, decision, prompt) and goes on where it was cut short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.round.progress import reporter
from flows.round.round import Round
from flows.steps.filter import with_decision_ids
from flows.steps.generate import with_prompt_tokens
from flows.steps.prompts_so_far import PromptsSoFar
from flows.steps.task import step_task
from flows.writers.engines import chat_of, embedded_of, endpoint_of, engine_of, text_settings
from flows.writers.guests import guest, with_models_here
from flows.writers.inventors import chosen_inventor
from flows.writers.purse import Purse, most_tokens
from schemas.errors import BadInput, RecipeError
from schemas.identity import prompt_id
from schemas.ids import digest
from schemas.recipes.invention import Invention
from schemas.tables import PROMPTS
from schemas.units import Unit
from tasks.filter.chain import run_chain, survivors
from tasks.filter.decision import Filter
from tasks.filter.first import first
from tasks.filter.held_out import held_out
from tasks.filter.length import fits
from tasks.generate.candidates import candidate_rows
from tasks.generate.engine import Engine, first_seed
from tasks.invent.form import well_formed
from tasks.invent.inventor import Inventor
from tasks.invent.listed import LIST, item_rows
from tasks.invent.novel import novel
from tasks.models.asking import put
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import Prompt
from tasks.models.neutral import special_texts
from tasks.models.rendering import prompt_lengths
from warehouse.loops import Checkpoint
from warehouse.query import read

BY = "inventor:"  # what the source of a question to the writer begins with
REDRAWS = 8  # times that examples too long for the writer's context are drawn anew

_COLUMNS = ("prompt_id", "split", "source", "line", "text", "parents")
_ROWS = pl.Schema({name: PROMPTS.own_polars[name] for name in _COLUMNS})


@dataclass(frozen=True)
class _Batch:
    """One batch: `size` texts, after the `before` texts that this round has asked for already, for `wanted`
    prompts.
    """

    number: int
    before: int
    size: int
    wanted: int


def invent(
    round_: Round[Any],
    count: int,
    invention: Invention,
    writer: Checkpoint | None = None,
    purse: Purse | None = None,
) -> pl.DataFrame:
    """Up to `count` new training prompts, admitted to this round: rows of table `prompts`.

    There are fewer where `invention.attempts` passes did not give as many, or the `purse` was spent. The
    writer is the model that the recipe names, else `writer`, else the champion. Examples are the loop's
    training prompts, so those of this round come first. BadInput where there are too few; RecipeError where
    the round began to invent by another inventor.
    """
    here = with_models_here(invention, round_.lake, round_.loop)
    model = invention.model
    writer = writer or round_.champion if model is None else guest(round_, Path(model), "teacher")
    own = round_.base if writer.id == round_.champion.id else writer
    inventor = chosen_inventor(here, own.folder)
    _refuse_other_inventor(round_, inventor)
    if purse is not None and purse.teacher.id != writer.id:
        purse = None  # another model writes
    prompts, unasked = PromptsSoFar(round_), purse.unasked if purse is not None else 0
    frames = [pl.DataFrame(schema=PROMPTS.polars)]
    with round_.step("invent", count, "prompts") as advance:
        for batch in _batches(frames, count, invention.attempts, round_.recipe.shard_size, inventor.listed):
            rows = invent_batch(round_, inventor, writer, invention.novelty, prompts, batch, purse)
            prompts.add(rows)
            frames.append(rows)
            advance(rows.height)
    admitted = pl.concat(frames)
    if purse is not None:  # every attempt that it had no room for counted those that were lacking
        purse.unasked = min(purse.unasked, unasked + count - admitted.height)
    if admitted.height < count:
        reporter().say(f"round {round_.number}: {admitted.height:,} of {count:,} prompts were invented")
    return admitted


def _refuse_other_inventor(round_: Round[Any], inventor: Inventor) -> None:
    """RecipeError where this round has questions by another inventor: its file may have changed since."""
    prompts = read(round_.lake, "prompts", {"loop": round_.loop, "round": round_.number})
    labels = prompts.filter(pl.col("split") == "invention")["source"].str.strip_prefix(BY)
    other = set(labels) - {inventor.label}
    if other:
        raise RecipeError(
            f"round {round_.number} began to invent by {', '.join(sorted(other))}, not {inventor.label}: "
            "a round keeps its inventor"
        )


def _batches(
    frames: list[pl.DataFrame], count: int, attempts: int, most: int, listed: int
) -> Iterator[_Batch]:
    """In each pass texts for as many prompts as are still lacking, `listed` a text, in batches of `most`."""

    def lacking() -> int:
        return count - sum(rows.height for rows in frames)

    number = before = 0
    for _ in range(attempts):
        texts = -(-lacking() // listed)
        for start in range(0, texts, most):
            batch = _Batch(number, before, min(most, texts - start), lacking())
            yield batch
            number, before = number + 1, before + batch.size


@step_task
def invent_batch(
    round_: Round[Any],
    inventor: Inventor,
    writer: Checkpoint,
    most: float,
    prompts: PromptsSoFar,
    batch: _Batch,
    purse: Purse | None = None,
) -> pl.DataFrame:
    """One batch: what the writer is asked, what it writes, the decisions on it, and the prompts admitted.

    Nothing is asked that the purse has no room for.
    """
    unit, log = round_.unit("invent", batch.number), round_.log
    asks = log.once(unit, "prompts", lambda: _asks(round_, inventor, writer, prompts, batch)).sort("line")
    if purse is not None:
        most_read, most_written = most_tokens(asks["text"]), asks.height * inventor.max_tokens
        if not purse.allows(most_read, most_written, min(asks.height * inventor.listed, batch.wanted)):
            return pl.DataFrame(schema=PROMPTS.polars)

    def write() -> pl.DataFrame:
        seeds = [first_seed("invent", round_.seed, round_.number, line) for line in asks["line"]]
        with round_.model_at_work():
            rows = candidate_rows(
                _engine(round_, writer, unit, asks),
                asks.with_columns(pl.Series("seed", seeds, dtype=pl.Int64)),
                inventor.sampling,
                checkpoint_id=writer.id,
                round_number=round_.number,
                seed=round_.seed,
                kind="instruction" if inventor.listed == 1 else LIST,
                engine_settings=text_settings(round_.recipe, writer),
            )
        ids = asks["prompt_id"]
        return (
            rows if purse is None else with_prompt_tokens(round_, writer, rows, ids, asks["text"].to_list())
        )

    written = log.once(unit, "candidates", write)
    if purse is not None:
        purse.take(written, unit)
    if inventor.listed > 1:
        lists, cut = written, round_.unit("invent-items", batch.number)
        written = log.once(cut, "candidates", lambda: item_rows(lists, inventor.listed, round_.number))
    texts = _texts(asks, written)
    chain = _chain(round_, inventor, most, prompts, batch)
    decisions = log.once(unit, "decisions", lambda: _decisions(round_, chain, texts))
    admit = round_.unit("admit-invented", batch.number)
    return log.once(admit, "prompts", lambda: _admitted(round_, writer, texts, decisions))


def _engine(round_: Round[Any], writer: Checkpoint, unit: Unit, asks: pl.DataFrame) -> Engine:
    """The engine of a batch. A guest whose weights lie here is loaded in process."""
    if writer.id != round_.champion.id and endpoint_of(round_.recipe, writer, "teacher") is None:
        return embedded_of(round_.recipe, writer)
    return engine_of(round_, writer, unit, dict(zip(asks["text"], asks["prompt_id"], strict=True)))


def _asks(
    round_: Round[Any], inventor: Inventor, writer: Checkpoint, prompts: PromptsSoFar, batch: _Batch
) -> pl.DataFrame:
    """What the writer is asked, one row a text; BadInput where no draw of examples fits its context."""
    if endpoint_of(round_.recipe, writer, "teacher") is None:
        chat, folder = chat_of(round_.recipe, writer), writer.folder
        tokenizer, context = load_tokenizer(folder, chat), context_length(folder)
    else:  # it counts for itself, and the loop's own tokens are kept out of its texts
        tokenizer, context = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat), None
    specials, source = special_texts(tokenizer), f"{BY}{inventor.label}"
    lines, rows = list(range(batch.before + 1, batch.before + batch.size + 1)), []
    for redraw in range(REDRAWS):
        example_sets = [
            inventor.draw_examples(
                prompts.originals, prompts.invented, _lot(round_, "examples", line, redraw)
            )
            for line in lines
        ]
        inputs = [inventor.render([text for _, text in one], specials) for one in example_sets]
        lengths = prompt_lengths(tokenizer, inputs)
        fitting = [context is None or length + inventor.max_tokens <= context for length in lengths]
        rows += [
            _row(round_, "invention", source, line, text, [parent for parent, _ in examples])
            for line, text, examples, fit in zip(lines, inputs, example_sets, fitting, strict=True)
            if fit
        ]
        lines = [line for line, fit in zip(lines, fitting, strict=True) if not fit]
        if not lines:
            return pl.DataFrame(rows, schema=_ROWS)
    raise BadInput(
        f"inventor {inventor.name}: {inventor.shots} examples and max_tokens {inventor.max_tokens} do not fit"
        f" the context of {context} tokens: give fewer shots"
    )


def _texts(asks: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """What was written, in the order in which it was asked for, white space around it taken off."""
    plain = pl.col("text").str.replace_all("\r\n", "\n").str.strip_chars()
    rows = candidates.select("candidate_id", "prompt_id", "sample_index", "finish_reason", plain)
    return rows.join(asks.select("prompt_id", "line", "parents"), on="prompt_id").sort("line", "sample_index")


def _decisions(round_: Round[Any], chain: list[Filter], texts: pl.DataFrame) -> pl.DataFrame:
    """Every filter's decisions on what was written."""
    decisions, _ = run_chain(texts.with_columns(prompt="text"), chain)
    return with_decision_ids(round_, decisions, "invent")


def _chain(
    round_: Round[Any], inventor: Inventor, most: float, prompts: PromptsSoFar, batch: _Batch
) -> list[Filter]:
    """The filters: form, overlap with held-out prompts, length, novelty; of lists, no more than wanted."""
    tokenizer = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat)
    context = context_length(round_.base.folder)
    longest = max(round_.recipe.sampling.max_tokens, round_.recipe.evaluation.max_tokens)
    room = round_.recipe.training.max_tokens if context is None else context - longest
    asking, specials = round_.recipe.prompts.asking, special_texts(tokenizer)

    def lengths(new: Sequence[Prompt], _: Sequence[str]) -> list[int]:
        return prompt_lengths(tokenizer, [put(one, asking) for one in new])

    chain: list[Filter] = [
        lambda frame: well_formed(frame, inventor.form, specials),
        lambda frame: held_out(frame, prompts.indexed()[1]),
        lambda frame: fits(frame, lengths, room),
        lambda frame: novel(frame, prompts.indexed()[0], most),
    ]
    return chain if inventor.listed == 1 else [*chain, lambda frame: first(frame, batch.wanted)]


def _admitted(
    round_: Round[Any], writer: Checkpoint, texts: pl.DataFrame, decisions: pl.DataFrame
) -> pl.DataFrame:
    """Prompt rows of the texts that every filter kept."""
    accepted = texts.join(survivors(decisions), on="candidate_id", how="semi", maintain_order="left")
    rows = [
        _row(round_, "train", f"invented:{writer.id}", line, text, parents)
        for line, text, parents in accepted.select("line", "text", "parents").iter_rows()
    ]
    return pl.DataFrame(rows, schema=_ROWS)


def _row(
    round_: Round[Any], split: str, source: str, line: int, text: str, parents: list[str]
) -> dict[str, Any]:
    own = prompt_id(round_.number, round_.loop, split, source, line, text)
    return dict(zip(_COLUMNS, (own, split, source, line, text, parents), strict=True))


def _lot(round_: Round[Any], what: str, *parts: int) -> int:
    """A number from the hash of the recipe's seed, the round and `parts`."""
    return int(digest((what, round_.seed, round_.number, *parts))[:10], 16)
