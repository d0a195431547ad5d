"""What a teacher is asked in a round: answers or explanations, and failed problems again, with their answer.

All of it is asked in units whose order is fixed, within the teacher's budget. What an explanation was asked
under stands in its candidate's settings; a text that was written with the answer known is a candidate of kind
`rationalisation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.generate import Request, answers
from flows.steps.task import shards
from flows.steps.verify import verdicts
from flows.writers.engines import chat_of, endpoint_of
from flows.writers.purse import Purse, most_tokens
from schemas.ids import digest
from schemas.recipes.asking import Asking
from schemas.recipes.distillation import ANSWER, QUESTIONS, Distillation, SystemMessages
from schemas.recipes.shared import Sampling
from schemas.tables import CANDIDATES, SCORES
from tasks.models.asking import put, with_prompts
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import Message, Prompt, messages_of, plain_text, prompt_of, prompts_of
from tasks.models.rendering import prompt_lengths
from tasks.verify.references import accepted_of
from tasks.verify.verifier import get_verifier
from warehouse.loops import Checkpoint

RATIONALISATION = "rationalisation"
SYSTEM = "system"
"""The key of a candidate's settings that names the set's label and the message's place in it."""


@dataclass(frozen=True)
class Asked:
    """Prompts that are asked the same way."""

    prompts: pl.DataFrame
    request: Request


def teach(
    round_: Round[Distillation], prompts: pl.DataFrame, teacher: Checkpoint, purse: Purse
) -> pl.DataFrame:
    """The teacher's texts for the round's prompts: rows of table `candidates`."""
    parts = ways(round_, prompts)
    total = prompts.height * round_.recipe.sampling.samples
    with round_.step("generate", total, "texts") as advance:
        frames = list(_asked(round_, teacher, purse, parts, "generate", round_.recipe.sampling, advance))
    purse.tell()
    return _whole(frames)


def rationalise(
    round_: Round[Distillation],
    prompts: pl.DataFrame,
    scores: pl.DataFrame,
    teacher: Checkpoint,
    purse: Purse,
) -> pl.DataFrame:
    """The teacher's texts for problems of which it has no answer that passes, with the reference answer told:
    rows of table `candidates`. Only problems that it was asked, and that have a reference, are asked again.
    """
    own = round_.recipe.rationalising
    passed = scores.filter(pl.col("outcome") == "pass")["prompt_id"]
    failed = prompts.filter(
        pl.col("prompt_id").is_in(scores["prompt_id"].implode())
        & ~pl.col("prompt_id").is_in(passed.implode())
        & pl.col("reference").is_not_null()
    )
    if not own.samples or failed.is_empty():
        return pl.DataFrame(schema=CANDIDATES.polars)
    plain = round_.recipe.prompts.asking
    told = Request(plain, RATIONALISATION, {"told": digest((own.template,))[:12]})
    sampling = round_.recipe.sampling.model_copy(update={"samples": own.samples})
    parts = [Asked(with_answers(round_, failed), told)]
    with round_.step("rationalise", failed.height * own.samples, "texts") as advance:
        frames = list(_asked(round_, teacher, purse, parts, "rationalise", sampling, advance))
    purse.tell()
    return _whole(frames)


def verify_rationalised(
    round_: Round[Distillation], prompts: pl.DataFrame, texts: pl.DataFrame
) -> pl.DataFrame:
    """Verdicts on rationalised texts, by the verifier that the others' were: rows of table `scores`."""
    if texts.is_empty():
        return pl.DataFrame(schema=SCORES.polars)
    rows = texts.join(prompts.select("prompt_id", "reference"), on="prompt_id")
    unit = round_.unit("verify-rationalised")
    asked = {unit: texts["prompt_id"].unique().sort().to_list()}
    return verdicts(round_, rows, asked, round_.recipe.verification.verifier)


def with_answers(round_: Round[Distillation], prompts: pl.DataFrame) -> pl.DataFrame:
    """Prompts whose last message tells the answer: the final one that the verifier reads in the reference."""
    verification, template = round_.recipe.verification, round_.recipe.rationalising.template
    verifier = get_verifier(verification.verifier, strictness=verification.strictness)
    told = []
    for prompt, reference in zip(prompts_of(prompts), prompts["reference"], strict=True):
        first = accepted_of(reference)[0]
        told.append(_told(prompt, template, verifier.verify(first, first).answer or first))
    return with_prompts(prompts, told, "text")


def drawn_message(round_: Round[Distillation], messages: SystemMessages, prompt: Prompt) -> int:
    """The place of the system message that is drawn for a prompt in a round."""
    said = (prompt,) if isinstance(prompt, str) else (prompt.text, prompt.json)
    lot = digest(("system", messages.label, round_.recipe.seed, round_.number, *said))
    return int(lot[:12], 16) % len(messages.messages)


def under(asking: Asking, message: str) -> Asking:
    """What stands around a question that is explained: the recipe's own, under this system message."""
    return asking.model_copy(update={"system": message})


def _told(prompt: Prompt, template: str, answer: str) -> Prompt:
    """A prompt with the template around its last message; nothing of question or answer is a field."""
    head, _, tail = template.partition(next(one for one in QUESTIONS if one in template))
    *turns, last = messages_of(prompt)
    text = head.replace(ANSWER, answer) + last.content + tail.replace(ANSWER, answer)
    return prompt_of([*turns, Message("user", text)])


def ways(round_: Round[Distillation], prompts: pl.DataFrame) -> list[Asked]:
    """The round's prompts by how they are asked: all alike, or by the system message drawn for each."""
    recipe, asking = round_.recipe, round_.recipe.prompts.asking
    if recipe.mode == "outputs":
        return [Asked(prompts, Request(asking))]
    messages = recipe.explaining.read_messages()
    places = [drawn_message(round_, messages, prompt) for prompt in prompts_of(prompts)]
    drawn = prompts.with_columns(pl.Series("place", places, dtype=pl.Int64))
    return [
        Asked(
            drawn.filter(pl.col("place") == place).drop("place"),
            Request(under(asking, message), settings={SYSTEM: f"{messages.label}/{place}"}),
        )
        for place, message in enumerate(messages.messages)
    ]


def _asked(
    round_: Round[Distillation],
    teacher: Checkpoint,
    purse: Purse,
    parts: list[Asked],
    step: str,
    sampling: Sampling,
    advance: Advance,
) -> Iterator[pl.DataFrame]:
    """The texts of a step, a shard at a time, as far as the budget goes."""
    number = 0
    for part in parts:
        for ids in shards(part.prompts["prompt_id"].to_list(), round_.recipe.shard_size):
            unit = round_.unit(step, number)
            number += 1
            shard = part.prompts.filter(pl.col("prompt_id").is_in(ids))
            read, fitting = most_read(round_, teacher, shard, part.request.asking, sampling)
            most = fitting.height * sampling.samples * sampling.max_tokens
            if fitting.is_empty() or not purse.allows(read * sampling.samples, most, fitting.height):
                continue
            rows = answers(
                round_, fitting, teacher, sampling, unit, round_.seed, advance, request=part.request
            )
            purse.take(rows, unit)
            yield rows


def most_read(
    round_: Round[Distillation],
    teacher: Checkpoint,
    prompts: pl.DataFrame,
    asking: Asking,
    sampling: Sampling,
) -> tuple[int, pl.DataFrame]:
    """The tokens of prompts as the teacher is asked them, and those of them that its context has room for.

    About the most that they can have where the tokenizer is not known here.
    """
    inputs = [put(one, asking) for one in prompts_of(prompts)]
    if endpoint_of(round_.recipe, teacher, "teacher") is not None:
        return most_tokens(map(plain_text, inputs)), prompts
    tokenizer = load_tokenizer(teacher.folder, chat_of(round_.recipe, teacher))
    lengths = prompt_lengths(tokenizer, inputs)
    context = context_length(teacher.folder)
    fits = [context is None or length + sampling.max_tokens <= context for length in lengths]
    read = sum(length for length, fit in zip(lengths, fits, strict=True) if fit)
    return read, prompts.filter(pl.Series(fits, dtype=pl.Boolean))


def _whole(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames) if frames else pl.DataFrame(schema=CANDIDATES.polars)
