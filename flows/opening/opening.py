"""Opening a loop: its base checkpoint and its fixed prompts enter the log, once, in round 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from flows.opening.admission import (
    Admitted,
    Tally,
    fitting,
    fixed_prompts,
    out_of_reach,
    shortage,
    without_near,
)
from flows.opening.asking import check_asking, refuse_shown
from flows.opening.demonstrations import admit_demonstrations, demonstration_prompts
from flows.opening.pairs import admit_pairs
from flows.opening.proof import Proof, prove, recipe_remarks
from flows.opening.table import admission_lines
from flows.round.progress import reporter
from flows.writers.judges import chosen_rubric, judge_folder
from flows.writers.keeping import kept_path
from schemas.engine import Embedded, Vllm
from schemas.errors import BadInput, PromptFileError, RecipeError
from schemas.identity import base_id
from schemas.recipes.shared import ModelFiles, Recipe, Verification
from schemas.units import Unit
from tasks.admit.prompts import prompt_rows
from tasks.admit.references import reference_rows
from tasks.models.asking import put
from tasks.models.checkpoint import check_readable, context_length, load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_lengths
from tasks.train.fits import check_fits
from tasks.verify.scores import score_rows
from tasks.verify.verifier import get_verifier
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read

SHARD = 2000  # prompts in one unit of admission
NOT_ASKED = ("refused", "seed", "invention")
"""Splits of prompts that no round asks as the recipe puts questions."""


@dataclass(frozen=True)
class Opening:
    """What a new loop starts from, checked: nothing of it is in the log yet.

    `origin` is where the base comes from, as JSON; `demonstrations` are the sets that a recipe opens with, by
    name; `others` are further prompts of a recipe's, by split, and `other_tallies` what became of their
    files; `remarks` are what a user is to know of model and recipe; `pairs`: the file's records are pairs.
    """

    model: Path
    content_hash: str
    files_hash: str
    admitted: Admitted
    verification: Verification
    origin: str
    model_files: ModelFiles = "copy"
    demonstrations: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    others: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    other_tallies: tuple[Tally, ...] = ()
    remarks: tuple[str, ...] = ()
    pairs: bool = False

    @property
    def held_out(self) -> pl.DataFrame:
        """The held-out prompts."""
        return self.admitted.held_out

    @property
    def splits(self) -> dict[str, pl.DataFrame]:
        """What is admitted in round 0, by split."""
        admitted = self.admitted
        parts = {"eval": admitted.held_out, "refused": admitted.refused, **self.others}
        return parts if admitted.training is None else parts | {"train": admitted.training}


def check_opening(model: Path, recipe: Recipe, pairs: bool = False) -> Opening:
    """Load and check the model's folder and the prompts; ModelError or PromptFileError of one line.

    With `pairs` the records of a prompt file are pairs of answers (tasks/admit/pairs.py).
    """
    check_recipe(recipe, model)
    proof = _proof(model, recipe)
    check_fits(model, recipe.training)
    admitted, tokenizer = (
        fixed_prompts(recipe.prompts, recipe.seed, pairs),
        load_tokenizer(model, recipe.prompts.chat),
    )
    refuse_shown(recipe, admitted.held_out)
    lack, remark = shortage(admitted, recipe, pairs), None
    if lack is None:
        room, context = room_for_prompts(model, recipe)
        admitted = fitting(admitted, tokenizer, room, recipe.prompts.asking, recipe.training.turns == "all")
        admitted, remark = without_near(admitted, recipe.prompts.overlap == "drop")
        lack = shortage(admitted, recipe, pairs)
        if lack is not None and context is not None and room is not None:
            lack += f" (a context of {context:,} tokens, answers of up to {context - room:,})"
    if lack is not None:
        raise PromptFileError(lack)
    few = out_of_reach(admitted.held_out, recipe, pairs)
    return Opening(
        model,
        proof.weights_hash,
        proof.files_hash,
        admitted,
        recipe.verification,
        json.dumps(base_origin(model)),
        recipe.model_files,
        remarks=tuple(one for one in (*proof.remarks, *recipe_remarks(recipe), remark, few) if one),
    )


def _proof(model: Path, recipe: Recipe) -> Proof:
    """The proof of a model as the recipe's engine runs it."""
    own = recipe.engine
    dtype = own.dtype if isinstance(own, Embedded) else "float32"
    return prove(model, drawing=not isinstance(own, Vllm), chat=recipe.prompts.chat, dtype=dtype)


def room_for_prompts(model: Path, recipe: Recipe) -> tuple[int | None, int | None]:
    """The most tokens of a prompt beside the longest answer, and the model's context; None: no limit."""
    context = context_length(model)
    longest = max(recipe.sampling.max_tokens, recipe.evaluation.max_tokens)
    return (None if context is None else context - longest), context


def check_asked_anew(lake: Lake, loop: str, recipe: Recipe, base: Path) -> None:
    """Prove a loop's base as its turns are written now. ModelError where that fails, RecipeError where
    prompts that the loop was opened with, asked as the recipe says now, leave no room for its answers.
    """
    proof = _proof(base, recipe)
    for remark in proof.remarks:
        reporter().say(f"loop {loop}: {remark}")
    room, context = room_for_prompts(base, recipe)
    if room is None or context is None:
        return
    fixed = read(lake, "prompts", {"loop": loop, "round": 0})
    fixed = fixed.filter(~pl.col("split").is_in(NOT_ASKED))
    inputs = [put(one, recipe.prompts.asking) for one in prompts_of(fixed)]
    lengths = prompt_lengths(load_tokenizer(base, recipe.prompts.chat), inputs)
    long = sum(length > room for length in lengths)
    if long:
        raise RecipeError(
            f"{long:,} of the {fixed.height:,} prompts of loop {loop} would not fit as they are asked now: "
            f"the longest has {max(lengths):,} tokens, answers up to {context - room:,}, the context "
            f"{context:,}; shorten what prompts.system, template and few_shots put around them, or max_tokens"
        )


def check_recipe(recipe: Recipe, base: Path) -> None:
    """Refuse verifiers, judges, rubrics and texts around a question that cannot be used, before a round needs
    them.
    """
    tokenizer = load_tokenizer(base, recipe.prompts.chat)  # RecipeError where it has no such end
    if not recipe.prompts.asking.is_plain:
        check_asking(recipe, tokenizer)
    verification = recipe.verification
    for name in (verification.verifier, *verification.also, verification.audit):
        get_verifier(name, strictness=verification.strictness)  # RecipeError where there is none
    if verification.judge.share:
        folder = None if verification.judge.endpoint else judge_folder(verification.judge.model)
        if folder is not None:
            check_readable(folder)
        chosen_rubric(folder, verification.judge.rubric, "points", verification.judge.votes)


def refuse_other_opening(lake: Lake, loop: str, opening: Opening) -> None:
    """Refuse to finish an interrupted opening of a loop with other prompts than it began with."""
    admitted = read(lake, "prompts", {"loop": loop, "round": 0})
    expected = {
        row_id
        for split, prompts in opening.splits.items()
        for row_id in prompt_rows(prompts, split, loop, 0)["prompt_id"]
    }
    for rows in opening.demonstrations.values():
        expected |= set(demonstration_prompts(rows, loop)["prompt_id"])
    if not expected.issuperset(admitted["prompt_id"]):
        raise BadInput(f"loop {loop} was begun with other prompts: give the same ones, or use another --loop")


def open_loop(log: Log, loop: str, opening: Opening) -> None:
    """Record a loop's prompts, references and base, once; remarks for the user are shown."""
    for remark in opening.remarks:
        reporter().say(f"loop {loop}: {remark}")
    for line in admission_lines((*opening.admitted.tallies, *opening.other_tallies)):
        reporter().say(line)
    admit(log, loop, "admit-eval", "eval", opening.held_out)
    training, refused = opening.admitted.training, opening.admitted.refused
    if training is not None:
        admitted = admit(log, loop, "admit-train", "train", training)
        own = training.select("text", "messages", "solution")
        rows = admitted.join(
            own, on=["text", "messages"], how="left", nulls_equal=True, maintain_order="left"
        )
        _admit_references(log, loop, rows, opening.verification)
    if opening.pairs:
        admit_pairs(log, loop, opening.splits)
    for split, prompts in opening.others.items():
        admit(log, loop, f"admit-{split}", split, prompts)
    admit_demonstrations(log, loop, opening.demonstrations)
    if not refused.is_empty():
        admit(log, loop, "admit-refused", "refused", refused)
    _register(log, loop, opening)  # last: a loop with a base has its prompts


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
    """Where a base comes from: its own origin.json, else its folder."""
    path = model / "origin.json"
    if path.is_file():
        try:
            value = json.loads(path.read_text("utf-8"))
        except ValueError:
            raise BadInput(f"{path} does not parse") from None
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
                "origin": opening.origin,
            }
        )

    log.once(Unit(loop, 0, "base"), "checkpoints", row)
