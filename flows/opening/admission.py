"""What a loop takes of its prompt files: to train on, to hold out, and refused, with a reason each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from transformers import PreTrainedTokenizerBase

import tutor.prompts
from flows.opening.overlap import near_remark, overlaps, refusals
from schemas.errors import ModelError
from schemas.recipes.asking import Asking
from schemas.recipes.columns import read_columns
from schemas.recipes.shared import Prompts, Recipe
from tasks.admit.apart import END, MARKS, NOT_DRAWN, OVERLAP, REASONS, TOO_LONG, refuse, sample, sound
from tasks.admit.folders import has_held_out
from tasks.admit.pairs import apart_from_starts, sample_starts, sound_pairs, starts
from tasks.admit.prompts import split_off, without
from tasks.admit.reading import PromptFile, places, read_file
from tasks.admit.references import with_work
from tasks.evaluate.gate import fewest
from tasks.models.asking import put
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.earlier import earlier_turns
from tasks.models.rendering import forged, prompt_lengths, prompt_text
from tasks.models.turns import end_inside


@dataclass(frozen=True)
class Admitted:
    """A loop's prompts. `training` None means prompts drawn afresh from the world in each round.

    `refused` are the refused records, with their reason and, as `part`, their file ("train" or "eval").
    """

    training: pl.DataFrame | None
    held_out: pl.DataFrame
    refused: pl.DataFrame
    files: dict[str, PromptFile] = field(default_factory=dict)

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """What became of each file."""
        return tuple(_tally(self, part) for part in self.files)


@dataclass(frozen=True)
class Tally:
    """What became of the records of one file: read = refused + held out + to train on.

    `columns` maps roles to the columns read; `worked` are training prompts with a worked solution,
    `unanswered` admitted prompts without a reference, `parted` records whose rejected dialogue is of another
    prompt.
    """

    file: str
    format: str
    columns: dict[str, str]
    unread: tuple[str, ...]
    splits_unread: tuple[str, ...]
    read: int
    refused: dict[str, int]
    held_out: int
    training: int
    worked: int
    unanswered: int
    parted: int


def fixed_prompts(source: Prompts, seed: int, pairs: bool = False, by_start: bool = False) -> Admitted:
    """The loop's training and held-out prompts, before a model has seen them; PromptFileError of one line.

    With `pairs` records are pairs of answers: several may be about one prompt. With `by_start`, and of pairs
    always, dialogues that begin alike are on one side.
    """
    if source.path is None:
        stories = tutor.prompts.draw_stories(
            seed, None, source.eval_count, source.difficulties, source.eval_family
        )
        return Admitted(None, stories, _labelled(refuse(stories.head(0), ""), "eval"))
    path, columns = Path(source.path), read_columns(source.columns)
    files = {"train": read_file(path, "train", columns)}
    if source.eval_path is not None:
        files["eval"] = read_file(Path(source.eval_path), "eval", columns)
    elif has_held_out(path):
        files["eval"] = read_file(path, "eval", columns)
    by_start = by_start or pairs
    whole, draw = sound_pairs if pairs else sound, sample_starts if by_start else sample
    training, refused = whole(files["train"].rows)
    parts = [_labelled(refused, "train")]
    if "eval" in files:
        pool = files["eval"].rows
        asking, refused = whole(pool)
        held_out, rest = draw(asking, source.eval_count, seed)
        parts += [_labelled(one, "eval") for one in (refused, refuse(rest, NOT_DRAWN))]
    elif by_start:
        held_out, training = sample_starts(training, min(source.eval_count, training.height // 5), seed)
        pool = held_out
    else:
        training, held_out = split_off(training, source.eval_count, seed)
        pool = held_out
    apart = apart_from_starts(training, pool)[0] if by_start else without(training, pool)
    overlapping = training.filter(~pl.col("line").is_in(apart["line"].implode()))
    parts.append(_labelled(refuse(overlapping, OVERLAP), "train"))
    return Admitted(apart, held_out, pl.concat(parts), files)


def fitting(
    admitted: Admitted,
    tokenizer: PreTrainedTokenizerBase,
    room: int | None,
    asking: Asking | None = None,
    all_turns: bool = False,
) -> Admitted:
    """The same without what the model cannot be asked or taught: prompts of over `room` tokens, and texts
    that end or begin a turn of their own.
    """
    held_out, refused = _fitting(admitted.held_out, tokenizer, room, asking, False)
    parts = [admitted.refused, _labelled(refused, "eval" if "eval" in admitted.files else "train")]
    training = admitted.training
    if training is not None:
        training, refused = _fitting(training, tokenizer, room, asking, all_turns)
        parts.append(_labelled(refused, "train"))
    return Admitted(training, held_out, pl.concat(parts), admitted.files)


def without_near(admitted: Admitted, drop: bool) -> tuple[Admitted, str | None]:
    """The prompts, with `drop` without the training prompts that are almost held-out ones, and a remark on
    these for the user.
    """
    training = admitted.training
    if training is None:
        return admitted, None
    near = overlaps(training, admitted.held_out)
    remark = near_remark(training, near, drop)
    if not drop:
        return admitted, remark
    marked = training.with_columns(refusals(near).alias("refusal"))
    apart = marked.filter(pl.col("refusal").is_null())
    refused = _labelled(marked.filter(pl.col("refusal").is_not_null()), "train")
    rows = pl.concat([admitted.refused, refused])
    return Admitted(apart, admitted.held_out, rows, admitted.files), remark


def shortage(admitted: Admitted, recipe: Recipe, pairs: bool = False) -> str | None:
    """Why a loop with these prompts would be in vain, in one line; None: it would not be."""
    where = f"prompt file {recipe.prompts.path}: " if recipe.prompts.path else ""
    training, held_out = admitted.training, admitted.held_out
    if held_out.is_empty() or (training is not None and training.is_empty()):
        reasons = _reasons(admitted.refused).value_counts(sort=True).head(5).iter_rows()
        counts = "".join(f"; {count:,} refused: {reason}" for reason, count in reasons)
        return f"{where}too few prompts to train on some and hold out others{counts}"
    few = out_of_reach(held_out, recipe, pairs) if recipe.prompts.path else None
    return few and where + few


def out_of_reach(held_out: pl.DataFrame, recipe: Recipe, pairs: bool = False) -> str | None:
    """One line where no result on the held-out prompts could pass the gate; None where one could. With
    `pairs` those without a problem that begin alike count as one.
    """
    needed = fewest(recipe.gate.alpha)
    own = (starts(held_out),) if pairs else ("messages", "text")
    problems = held_out.select(pl.coalesce("problem", *own)).to_series().n_unique()
    if problems >= needed:
        return None
    count = f"{held_out.height} held-out prompts"
    if problems < held_out.height:
        count += f" that tell {problems} problems"
    more = ": give a larger prompts.eval_count"
    if recipe.prompts.path:
        more = (
            " (of one file at most a fifth is held out): give more prompts, --eval-prompts or a larger "
            "prompts.eval_count"
        )
    return (
        f"no result on {count} passes the gate, not even winning all of them: gate.alpha "
        f"{recipe.gate.alpha:g} needs {needed}{more}"
    )


def forging(
    prompts: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    all_turns: bool = False,
    asking: Asking | None = None,
) -> pl.Series:
    """Which prompts, put as the recipe asks, are conversations that end or begin a turn in their content.

    ModelError names the first whose turns the template cannot put or, with `all_turns`, teach.
    """
    inputs = [put(one, asking or Asking()) for one in prompts_of(prompts)]
    placed = zip(inputs, places(prompts), strict=True)
    marks = [_forges(tokenizer, prompt, place, all_turns) for prompt, place in placed]
    return pl.Series("forges", marks, dtype=pl.Boolean)


def _fitting(
    prompts: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    room: int | None,
    asking: Asking | None,
    all_turns: bool,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Prompts of at most `room` tokens, without marks of a turn, and the others with their reasons."""
    forges = forging(prompts, tokenizer, all_turns, asking)
    fitting_rows, refused = prompts.filter(~forges), [refuse(prompts.filter(forges), MARKS)]
    inside = pl.Series("inside", [False] * fitting_rows.height, dtype=pl.Boolean)
    for column in {"reference", "solution"} & set(fitting_rows.columns):
        inside |= pl.Series("inside", end_inside(tokenizer, fitting_rows[column].to_list()), dtype=pl.Boolean)
    refused.append(refuse(fitting_rows.filter(inside), END))
    fitting_rows = fitting_rows.filter(~inside)
    if room is not None:
        inputs = [put(one, asking or Asking()) for one in prompts_of(fitting_rows)]
        long = pl.Series("length", prompt_lengths(tokenizer, inputs), dtype=pl.Int64) > room
        refused.append(refuse(fitting_rows.filter(long), TOO_LONG))
        fitting_rows = fitting_rows.filter(~long)
    return fitting_rows, pl.concat(refused)


def _forges(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, place: str, all_turns: bool) -> bool:
    if isinstance(prompt, str):
        return False
    try:
        if forged(tokenizer, prompt) is not None:
            return True
        prompt_text(tokenizer, prompt)
        if all_turns:
            earlier_turns(tokenizer, prompt)
    except ModelError as error:
        raise ModelError(f"the conversation of {place} does not go with the model: {error}") from None
    return False


def _labelled(rows: pl.DataFrame, part: str) -> pl.DataFrame:
    return rows.with_columns(pl.lit(part).alias("part"))


def _reasons(refused: pl.DataFrame) -> pl.Series:
    """Why each was refused, as one of `REASONS`: without the held-out prompt that a near overlap names."""
    near = pl.col("refusal").str.starts_with("overlaps ")
    return refused.select(refusal=pl.when(near).then(pl.lit(OVERLAP)).otherwise("refusal"))["refusal"]


def _tally(admitted: Admitted, part: str) -> Tally:
    file = admitted.files[part]
    refused = _reasons(admitted.refused.filter(pl.col("part") == part)).to_list()
    training = file.rows.head(0) if part == "eval" or admitted.training is None else admitted.training
    held = part == "eval" or "eval" not in admitted.files
    held_out = admitted.held_out if held else file.rows.head(0)
    return Tally(
        str(file.path) if not file.splits else f"{file.path}/{file.name.rpartition('/')[2]}",
        file.format,
        file.columns,
        file.unread,
        tuple(
            one
            for one in file.splits
            if one not in {f.name.rpartition("/")[2] for f in admitted.files.values()}
        ),
        file.rows.height,
        {reason: refused.count(reason) for reason in REASONS if reason in refused},
        held_out.height,
        training.height,
        with_work(training).height,
        training["reference"].null_count() + held_out["reference"].null_count(),
        file.rows["rejected_dialogue"].count(),
    )
