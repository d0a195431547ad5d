"""Prompt invention: a model writes new prompts from few-shot examples, and what the filters keep is admitted.

Everything is a fact: what the model was asked is a prompt of split `invention` whose parents are the examples
shown, every text it wrote is a candidate of kind `instruction`, every rejection a decision with its reason,
and what is kept is a training prompt with the same parents and the same `line` as the question it came from.

A batch is judged against the prompts kept from all before it, so batches come one after the other. Each is
four units (question, text, decision, prompt) and goes on where it was cut short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.opening.demonstrations import demonstrations_unit
from flows.round.progress import reporter
from flows.round.round import Round
from flows.steps.filter import with_decision_ids
from flows.steps.task import step_task
from flows.writers.engines import chat_of, embedded_of, engine_of, text_settings
from flows.writers.guests import guest, with_models_here
from flows.writers.inventors import chosen_inventor
from schemas.errors import BadInput, RecipeError
from schemas.identity import prompt_id
from schemas.ids import digest
from schemas.recipes.shared import Invention
from schemas.tables import PROMPTS
from tasks.filter.chain import run_chain, survivors
from tasks.filter.held_out import HeldOut, held_out
from tasks.filter.length import fits
from tasks.generate.candidates import candidate_rows
from tasks.generate.engine import first_seed
from tasks.invent.form import well_formed
from tasks.invent.inventor import Inventor
from tasks.invent.novel import Earlier, novel
from tasks.models.asking import put
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.neutral import special_texts
from tasks.models.rendering import prompt_lengths
from warehouse.lake import Where
from warehouse.loops import Checkpoint
from warehouse.query import read

BY = "inventor:"  # what the source of a question to the writer begins with
REDRAWS = 8  # times that examples too long for the writer's context are drawn anew

_COLUMNS = ("prompt_id", "split", "source", "line", "text", "parents")
_ROWS = pl.Schema({name: PROMPTS.own_polars[name] for name in _COLUMNS})


@dataclass(frozen=True)
class _Batch:
    """One batch: `size` texts, after the `before` texts that this round has asked for already."""

    number: int
    before: int
    size: int


class PromptsSoFar:
    """The loop's prompts so far: what examples are drawn from and what new ones are held against."""

    def __init__(self, round_: Round[Any]) -> None:
        where: Where = {"loop": round_.loop, "round": list(range(round_.number + 1))}
        rows = read(round_.lake, "prompts", where).sort("round", "text")  # ids carry the loop's name
        machine, now = pl.col("parents").is_not_null(), pl.col("round") == round_.number
        train = rows.filter((pl.col("split") == "train") & ~(machine & now))
        demonstrated = pl.col("unit") == demonstrations_unit(round_.loop, "instruction").key
        others = rows.filter((pl.col("split") == "refused") | demonstrated)
        texts = pl.col("messages").is_null()  # a writer is shown texts: conversations are no examples of one
        self.originals = _pairs(train.filter(~machine & texts))
        self.invented = _pairs(train.filter(machine))
        self._before = pl.concat([others, train]).select("prompt_id", "text")
        self._held_out = rows.filter(pl.col("split") == "eval").select("prompt_id", "text")
        self._added: list[pl.DataFrame] = []
        self._indexed: tuple[Earlier, HeldOut] | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Prompts that this round has invented."""
        ordered = rows.sort("line")
        self.invented += _pairs(ordered)
        self._added.append(ordered)
        if self._indexed is not None:
            _add(self._indexed[0], ordered)

    def indexed(self) -> tuple[Earlier, HeldOut]:
        """All training prompts and the held-out ones, indexed when that is first needed."""
        if self._indexed is None:
            earlier = Earlier()
            for rows in (self._before, *self._added):
                _add(earlier, rows)
            self._indexed = earlier, HeldOut(*_columns(self._held_out))
        return self._indexed


def invent(round_: Round[Any], count: int, invention: Invention) -> pl.DataFrame:
    """Up to `count` new training prompts, admitted to this round: rows of table `prompts`.

    There are fewer where `invention.attempts` passes did not give as many. Examples are the loop's training
    prompts, so those of this round come first. BadInput where there are too few; RecipeError where the round
    began to invent by another inventor.
    """
    here = with_models_here(invention, round_.lake, round_.loop)
    inventor = chosen_inventor(here, round_.base.folder)
    _refuse_other_inventor(round_, inventor)
    model = invention.model
    writer = round_.champion if model is None else guest(round_, Path(model), "teacher")
    prompts = PromptsSoFar(round_)
    frames = [pl.DataFrame(schema=PROMPTS.polars)]
    with round_.step("invent", count, "prompts") as advance:
        for batch in _batches(frames, count, invention.attempts, round_.recipe.shard_size):
            rows = invent_batch(round_, inventor, writer, invention.novelty, prompts, batch)
            prompts.add(rows)
            frames.append(rows)
            advance(rows.height)
    admitted = pl.concat(frames)
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


def _batches(frames: list[pl.DataFrame], count: int, attempts: int, most: int) -> Iterator[_Batch]:
    """In each pass as many texts as prompts are still lacking, in batches of `most`."""
    number = before = 0
    for _ in range(attempts):
        lacking = count - sum(rows.height for rows in frames)
        for start in range(0, lacking, most):
            batch = _Batch(number, before, min(most, lacking - start))
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
) -> pl.DataFrame:
    """One batch: what the writer is asked, what it writes, the decisions on it, and the prompts admitted."""
    unit, log = round_.unit("invent", batch.number), round_.log
    asks = log.once(unit, "prompts", lambda: _asks(round_, inventor, writer, prompts, batch)).sort("line")

    def write() -> pl.DataFrame:
        seeds = [first_seed("invent", round_.seed, round_.number, line) for line in asks["line"]]
        with round_.model_at_work():
            guest_writes = writer.id != round_.champion.id  # its weights lie here: no server changes its own
            return candidate_rows(
                embedded_of(round_.recipe, writer) if guest_writes else engine_of(round_, writer, unit),
                asks.with_columns(pl.Series("seed", seeds, dtype=pl.Int64)),
                inventor.sampling,
                checkpoint_id=writer.id,
                round_number=round_.number,
                seed=round_.seed,
                kind="instruction",
                engine_settings=text_settings(round_.recipe, writer),
            )

    texts = _texts(asks, log.once(unit, "candidates", write))
    decisions = log.once(unit, "decisions", lambda: _decisions(round_, inventor, most, prompts, texts))
    admit = round_.unit("admit-invented", batch.number)
    return log.once(admit, "prompts", lambda: _admitted(round_, writer, texts, decisions))


def _asks(
    round_: Round[Any], inventor: Inventor, writer: Checkpoint, prompts: PromptsSoFar, batch: _Batch
) -> pl.DataFrame:
    """What the writer is asked, one row a text; BadInput where no draw of examples fits its context."""
    chat = chat_of(round_.recipe, writer)
    tokenizer, context = load_tokenizer(writer.folder, chat), context_length(writer.folder)
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
    rows = candidates.select("candidate_id", "prompt_id", "finish_reason", plain)
    return rows.join(asks.select("prompt_id", "line", "parents"), on="prompt_id").sort("line")


def _decisions(
    round_: Round[Any], inventor: Inventor, most: float, prompts: PromptsSoFar, texts: pl.DataFrame
) -> pl.DataFrame:
    """Every filter's decisions: form, overlap with held-out prompts, length, novelty."""
    tokenizer = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat)
    context = context_length(round_.base.folder)
    longest = max(round_.recipe.sampling.max_tokens, round_.recipe.evaluation.max_tokens)
    room = round_.recipe.training.max_tokens if context is None else context - longest
    earlier, held_out_index = prompts.indexed()
    asking = round_.recipe.prompts.asking
    specials = special_texts(tokenizer)
    decisions, _ = run_chain(
        texts.with_columns(prompt="text"),
        [
            lambda frame: well_formed(frame, inventor.form, specials),
            lambda frame: held_out(frame, held_out_index),
            lambda frame: fits(
                frame, lambda new, _: prompt_lengths(tokenizer, [put(one, asking) for one in new]), room
            ),
            lambda frame: novel(frame, earlier, most),
        ],
    )
    return with_decision_ids(round_, decisions, "invent")


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


def _pairs(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Ids and texts."""
    return list(rows.select("prompt_id", "text").iter_rows())


def _columns(rows: pl.DataFrame) -> tuple[list[str], list[str]]:
    return rows["prompt_id"].to_list(), rows["text"].to_list()


def _add(earlier: Earlier, rows: pl.DataFrame) -> None:
    earlier.add(*_columns(rows))
