"""Opening a loop: its base checkpoint and its fixed prompts enter the log, once, in round 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from transformers import PreTrainedTokenizerBase

import tutor
import tutor.prompts
from flows.opening.asking import check_asking, refuse_shown
from flows.opening.demonstrations import admit_demonstrations, demonstrated_prompts
from flows.opening.overlap import near_remark, overlaps, refusals
from flows.opening.proof import prove, recipe_remarks
from flows.round.progress import reporter
from flows.writers.judges import chosen_rubric, judge_folder
from flows.writers.keeping import kept_path
from schemas.engine import Vllm
from schemas.errors import BadInput, ModelError, PromptFileError
from schemas.identity import base_id
from schemas.recipes.asking import Asking
from schemas.recipes.shared import ModelFiles, Recipe, Verification
from schemas.units import Unit
from tasks.admit.prompts import prompt_rows, read_prompts, reference_rows, split_off, without
from tasks.models.asking import put
from tasks.models.checkpoint import context_length, load_tokenizer, weights_hash
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.earlier import earlier_turns
from tasks.models.rendering import forged, prompt_lengths, prompt_text
from tasks.train.fits import check_fits
from tasks.verify.scores import score_rows
from tasks.verify.verifier import get_verifier
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read

SHARD = 2000  # prompts in one unit of admission


@dataclass(frozen=True)
class Opening:
    """What a new loop starts from, checked: nothing of it is in the log yet.

    `training` None means prompts drawn afresh from the world in each round; `refused` are prompts that
    do not fit the model's context, hold its marks of a turn or are almost held-out ones, with the column
    `refusal`; `demonstrations` are the sets that a recipe opens with, by name; `remarks` are what a user is
    to know of model, prompts and recipe.
    """

    model: Path
    content_hash: str
    files_hash: str
    training: pl.DataFrame | None
    held_out: pl.DataFrame
    refused: pl.DataFrame
    verification: Verification
    model_files: ModelFiles = "copy"
    demonstrations: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def check_opening(model: Path, recipe: Recipe) -> Opening:
    """Load and check the model's folder and the prompts; ModelError or PromptFileError of one line."""
    check_recipe(recipe, model)
    proof = prove(model, drawing=not isinstance(recipe.engine, Vllm))
    check_fits(model, recipe.training)
    tokenizer, context, said = load_tokenizer(model), context_length(model), None
    training, held_out = fixed_prompts(recipe)
    longest = max(recipe.sampling.max_tokens, recipe.evaluation.max_tokens)
    room = None if context is None else context - longest
    refuse_shown(recipe, held_out)
    asking, all_turns = recipe.prompts.asking, recipe.training.turns == "all"
    held_out, refused = _fitting(held_out, tokenizer, room, asking)
    if training is not None:
        training, more = _fitting(training, tokenizer, room, asking, all_turns)
        training, near, said = _apart(training, held_out, recipe.prompts.overlap == "drop")
        refused = pl.concat([refused, more, near])
    if held_out.is_empty() or (training is not None and training.is_empty()):
        raise PromptFileError(
            f"no prompt fits the model's context of {context} tokens with answers of up to {longest}"
        )
    return Opening(
        model,
        proof.weights_hash,
        proof.files_hash,
        training,
        held_out,
        refused,
        recipe.verification,
        recipe.model_files,
        remarks=(*proof.remarks, *recipe_remarks(recipe), *([said] if said else [])),
    )


def check_recipe(recipe: Recipe, base: Path) -> None:
    """Refuse what cannot be used, before a round finds out: verifiers, judges, rubrics, what stands around a
    question.
    """
    if not recipe.prompts.asking.is_plain:
        check_asking(recipe, load_tokenizer(base))
    wanted = recipe.verification
    for name in (wanted.verifier, *wanted.also, wanted.audit):
        get_verifier(name, strictness=wanted.strictness)  # RecipeError where there is none
    if wanted.judge.share:
        folder = None if wanted.judge.endpoint else judge_folder(wanted.judge.model)
        if folder is not None:
            weights_hash(folder)
        chosen_rubric(folder, wanted.judge.rubric, "points", wanted.judge.votes)


def refuse_other_opening(lake: Lake, loop: str, opening: Opening) -> None:
    """Refuse to go on opening a loop, where that was cut short, with other prompts than it began with."""
    admitted = read(lake, "prompts", {"loop": loop, "round": 0})
    parts = {"eval": opening.held_out, "train": opening.training, "refused": opening.refused}
    expected = {
        row_id
        for split, prompts in parts.items()
        if prompts is not None
        for row_id in prompt_rows(prompts, split, loop, 0)["prompt_id"]
    }
    for rows in opening.demonstrations.values():
        expected |= set(demonstrated_prompts(rows, loop)["prompt_id"])
    if not expected.issuperset(admitted["prompt_id"]):
        raise BadInput(f"loop {loop} was begun with other prompts: give the same ones, or use another --loop")


def open_loop(log: Log, loop: str, opening: Opening) -> None:
    """Record a loop's prompts, references and base, once; what a user is to know is said."""
    for remark in opening.remarks:
        reporter().say(f"loop {loop}: {remark}")
    admit(log, loop, "admit-eval", "eval", opening.held_out)
    if opening.training is not None:
        admitted = admit(log, loop, "admit-train", "train", opening.training)
        _admit_references(log, loop, admitted, opening.verification)
    admit_demonstrations(log, loop, opening.demonstrations)
    if not opening.refused.is_empty():
        admit(log, loop, "admit-refused", "refused", opening.refused)
        count = opening.refused.height
        why = "do not fit the model's context, hold its own marks of a turn, or are almost held-out ones"
        reporter().say(f"loop {loop}: {count:,} prompts {why}: they are left out")
    _register(log, loop, opening)  # last: a loop with a base has its prompts


def _fitting(
    prompts: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    room: int | None,
    asking: Asking,
    all_turns: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Prompts of at most `room` tokens that end and begin no turn of their own, and the others."""
    forges = forging(prompts, tokenizer, all_turns, asking)
    marks = pl.lit("holds the model's own marks of a turn").alias("refusal")
    sound, others = prompts.filter(~forges), prompts.filter(forges).with_columns(marks)
    if room is None:
        return sound, others
    asked = [put(one, asking) for one in prompts_of(sound)]
    length = pl.Series("length", prompt_lengths(tokenizer, asked), dtype=pl.Int64)
    long = pl.lit("does not fit the model's context").alias("refusal")
    return sound.filter(length <= room), pl.concat([others, sound.filter(length > room).with_columns(long)])


def _apart(
    training: pl.DataFrame, held_out: pl.DataFrame, drop: bool
) -> tuple[pl.DataFrame, pl.DataFrame, str | None]:
    """Training prompts to train on, those refused since they are almost held-out ones, and what to say."""
    found = overlaps(training, held_out)
    said = near_remark(training, found, drop)
    reasons = refusals(found) if drop else pl.repeat(None, training.height, dtype=pl.String, eager=True)
    marked = training.with_columns(reasons.alias("refusal"))
    kept = marked.filter(pl.col("refusal").is_null()).drop("refusal")
    return kept, marked.filter(pl.col("refusal").is_not_null()), said


def forging(
    prompts: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    all_turns: bool = False,
    asking: Asking | None = None,
) -> pl.Series:
    """Which prompts, put as the recipe asks, are conversations that end or begin a turn in their content.

    ModelError names the first whose turns the template cannot put or, with `all_turns`, teach.
    """
    asked = [put(one, asking or Asking()) for one in prompts_of(prompts)]
    lines = zip(asked, prompts["line"], strict=True)
    told = [_forges(tokenizer, prompt, line, all_turns) for prompt, line in lines]
    return pl.Series("forges", told, dtype=pl.Boolean)


def _forges(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, line: int, all_turns: bool) -> bool:
    if isinstance(prompt, str):
        return False
    try:
        if forged(tokenizer, prompt) is not None:
            return True
        prompt_text(tokenizer, prompt)
        if all_turns:
            earlier_turns(tokenizer, prompt)
    except ModelError as error:
        raise ModelError(f"the conversation of line {line} does not go with the model: {error}") from None
    return False


def fixed_prompts(recipe: Recipe) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """The loop's training prompts (None: drawn afresh from the world each round) and held-out ones."""
    source = recipe.prompts
    if source.path is None:
        drawn = tutor.prompts.draw_stories(
            recipe.seed, None, source.eval_count, source.difficulties, source.eval_family
        )
        return None, drawn
    training = _read(Path(source.path))
    if source.eval_path is not None:
        held_out = _read(Path(source.eval_path)).head(source.eval_count)
    else:
        training, held_out = split_off(training, source.eval_count, recipe.seed)
    training = without(training, held_out)
    if training.is_empty() or held_out.is_empty():
        raise PromptFileError(
            f"prompt file {source.path}: too few prompts to train on some and hold out others"
        )
    return training, held_out


def _read(path: Path) -> pl.DataFrame:
    """A file's prompts. What of a dialogue finds no place in the lake is said, not dropped in silence."""
    prompts = read_prompts(path)
    if parted := prompts["rejected_dialogue"].count():
        reporter().say(
            f"{path}: in {parted:,} lines the rejected dialogue parts from the chosen one before its last "
            "answer: the prompt and the reference are the chosen one's"
        )
    return prompts


def admit(log: Log, loop: str, step: str, split: str, prompts: pl.DataFrame) -> pl.DataFrame:
    """Admit prompts in round 0; returns their rows."""
    rows = prompt_rows(prompts, split, loop, 0)
    parts = list(rows.iter_slices(SHARD))
    units = [Unit(loop, 0, step, shard) for shard in range(len(parts))]
    return log.once_each(units, "prompts", lambda missing: [parts[u.shard] for u in missing])


def _admit_references(log: Log, loop: str, admitted: pl.DataFrame, judged_by: Verification) -> None:
    """The worked references of training prompts as candidates, judged as answers are."""
    references = reference_rows(admitted, loop, 0)
    log.once(Unit(loop, 0, "references"), "candidates", lambda: references)
    judged = references.join(admitted.select("prompt_id", "reference"), on="prompt_id")
    verifier = get_verifier(judged_by.verifier, strictness=judged_by.strictness)
    log.once(Unit(loop, 0, "verify-references"), "scores", lambda: score_rows(verifier, judged, 0))


def base_origin(model: Path) -> dict[str, object]:
    """Where a base comes from, in its own words where it has any."""
    told = model / "origin.json"
    if told.is_file():
        try:
            value = json.loads(told.read_text("utf-8"))
        except ValueError:
            raise BadInput(f"{told} does not parse") from None
        if isinstance(value, dict):
            return value
    return {"folder": str(model.resolve())}


def _register(log: Log, loop: str, opening: Opening) -> None:
    def row() -> pl.DataFrame:
        hashes = opening.content_hash, opening.files_hash
        return pl.DataFrame(
            {
                "checkpoint_id": base_id(loop, opening.content_hash, opening.files_hash),
                "content_hash": opening.content_hash,
                "files_hash": opening.files_hash,
                "role": "policy",
                "path": kept_path(log.lake, opening.model, *hashes, opening.model_files),
                "origin": json.dumps(base_origin(opening.model)),
            }
        )

    log.once(Unit(loop, 0, "base"), "checkpoints", row)
