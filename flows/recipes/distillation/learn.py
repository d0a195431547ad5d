"""What a student learns of a teacher's texts: which of them are kept, and as the answers to what."""

from __future__ import annotations

import json
from functools import partial

import polars as pl

from flows.recipes.distillation.asking import SYSTEM, under
from flows.round.round import Round
from flows.steps.filter import length_filter, with_decision_ids
from flows.steps.task import step_task
from schemas.ids import digest
from schemas.recipes.asking import Asking
from schemas.recipes.distillation import Distillation
from tasks.filter.cap import cap
from tasks.filter.chain import run_chain
from tasks.filter.decision import Filter
from tasks.filter.distinct import distinct
from tasks.filter.drawn import drawn
from tasks.filter.equations_hold import equations_hold
from tasks.filter.finished import finished
from tasks.filter.revision import holds_no_marks, says_something
from tasks.filter.verified import verified
from tasks.models.asking import put, with_prompts
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.neutral import special_texts
from warehouse.query import read
from warehouse.snapshot import PromptForm


@step_task
def kept_texts(
    round_: Round[Distillation], prompts: pl.DataFrame, texts: pl.DataFrame, scores: pl.DataFrame
) -> pl.DataFrame:
    """Decisions on the teacher's texts: by the verifier where there is one, by form, length and path."""

    def compute() -> pl.DataFrame:
        verdicts = scores.select("candidate_id", "outcome", "steps", "path")
        asked = prompts.select("prompt_id", "reference", "messages", prompt="text")
        rows = texts.join(verdicts, on="candidate_id", how="left").join(asked, on="prompt_id")
        rows = _put(round_, rows.sort("candidate_id")).with_columns(judging=pl.lit(True))
        return with_decision_ids(round_, run_chain(rows, chain(round_))[0], "filter")

    return round_.log.once(round_.unit("filter"), "decisions", compute)


def chain(round_: Round[Distillation]) -> list[Filter]:
    """The recipe's filters, in order."""
    recipe = round_.recipe
    tokenizer = load_tokenizer(round_.base.folder, recipe.prompts.chat)
    form: list[Filter] = [
        finished,
        says_something,
        partial(holds_no_marks, specials=special_texts(tokenizer)),
        length_filter(round_),
    ]
    filters = [verified, equations_hold, *form, distinct] if recipe.keep == "verified" else form
    if (most := recipe.cap) is not None:
        filters.append(lambda frame: cap(frame, most, recipe.seed))
    if (count := recipe.examples) is not None:
        filters.append(lambda frame: drawn(frame, count, "drawn", (recipe.seed, round_.number)))
    return filters


def learned_form(round_: Round[Distillation]) -> PromptForm | None:
    """How examples' prompts are put where an explanation is learned with its system message; else None."""
    recipe = round_.recipe
    if recipe.mode != "explanations" or not recipe.explaining.learned:
        return None
    label = digest((recipe.prompts.asking.label, recipe.explaining.read_messages().label))[:12]
    return PromptForm(label, partial(_as_learned, round_))


def _as_learned(round_: Round[Distillation], examples: pl.DataFrame) -> pl.DataFrame:
    """Examples (columns candidate_id, prompt, messages) with prompts as they are learned."""
    ids = examples["candidate_id"].to_list()
    settings = read(round_.lake, "candidates", {"loop": round_.loop, "candidate_id": ids})
    own = settings.select("candidate_id", "settings")
    known = examples.join(own, on="candidate_id", how="left", maintain_order="left")
    return _put(round_, known).drop("settings")


def _put(round_: Round[Distillation], rows: pl.DataFrame) -> pl.DataFrame:
    """Rows (columns prompt, messages, settings) with both as the student is asked."""
    askings = [_asking(round_, settings) for settings in rows["settings"]]
    return with_prompts(rows, map(put, prompts_of(rows, "prompt"), askings))


def _asking(round_: Round[Distillation], settings: str | None) -> Asking:
    """What stands around the question of a text with these settings."""
    recipe = round_.recipe
    own, drawn_place = recipe.prompts.asking, json.loads(settings or "{}").get(SYSTEM)
    if drawn_place is None or not recipe.explaining.learned:
        return own
    return under(own, recipe.explaining.read_messages().messages[int(drawn_place.rpartition("/")[2])])
