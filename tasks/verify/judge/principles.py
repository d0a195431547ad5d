"""AI preferences by principles: which of two answers a model finds better, as a soft label in both orders.

The feedback of Constitutional AI (Bai et al. 2022, arXiv 2212.08073, section 4.1): the options' likelihoods
as the model's next words, normalised; where it reasons first, held within 40 to 60%, since such labels are
too sure. Each pair is asked about in both orders, under some principles drawn for it. A verdict that is not
one is no pair, and says why: the model means neither option, finds both alike, or means a place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from schemas.errors import BadInput
from schemas.identity import judgement_id, preference_id
from schemas.ids import digest
from schemas.recipes.constitution import Constitution, Principle
from schemas.recipes.shared import Sampling
from schemas.tables import CANDIDATES, PREFERENCES
from tasks.generate.engine import Engine, PromptRefused, Sample, first_seed
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.neutral import says_nothing, special_texts
from tasks.verify.judge.expected import Weighing
from tasks.verify.judge.options import OPTIONS, comparison_prompt

LEAST_MASS = 0.01
"""Of the likelihood that both options have together: below it the model means to say something else."""
NEITHER, ALIKE = "it means neither option", "it finds both alike"
FIRST, SECOND = "the first place in both orders", "the second place in both orders"
CUT_OFF, TOO_LONG = "its reasoning was cut off", "too long for its context"
SILENT, UNQUOTABLE = "an answer says nothing", "an answer holds a mark that cannot be broken"
CLOSE, THINK = "\nThe answer is:", "\nLet us think step by step."


@dataclass(frozen=True)
class Comparing:
    """How a feedback model is asked: under how many of which principles a pair, with how many tokens of
    reasoning first (None: none), what its chances are held within then (`clamp` and 1 - `clamp`; None: as
    they are), and how much likelihood the options must have.
    """

    constitution: Constitution
    principles: int = 1
    reasoning: int | None = None
    clamp: float | None = 0.6
    least_mass: float = LEAST_MASS

    def drawn(self, pair: Sequence[str], seed: int) -> list[Principle]:
        """The principles of a pair (two ids): distinct, by their weights, by hash of seed and pair."""

        def lot(one: Principle) -> float:
            share = (int(digest(("principle", seed, one.id, *sorted(pair)))[:13], 16) + 0.5) / 16**13
            return math.log(share) / one.weight  # the largest are drawn: Efraimidis and Spirakis 2006

        return sorted(self.constitution.principles, key=lot, reverse=True)[: self.principles]

    def named(self, principle: Principle) -> str:
        """A principle as table `preferences` names it."""
        return f"{self.constitution.label}/{principle.id}"


@dataclass(slots=True)
class Opinion:
    """One order of a pair under one principle (its id): the chance that what is shown first is better, or why
    none.
    """

    asked: str | None
    first: float | None = None
    reason: str | None = None
    sample: Sample | None = field(default=None)
    principle: str = ""


def verdict_of(left_first: Opinion, right_first: Opinion) -> tuple[float | None, str | None]:
    """The chance that left is better, from both orders; or None and why there is none."""
    a, b = left_first.first, right_first.first
    if a is None or b is None:
        return None, left_first.reason or right_first.reason
    if a == b == 0.5:
        return None, ALIKE
    if min(a, b) > 0.5 or max(a, b) < 0.5:
        return None, FIRST if a > 0.5 else SECOND
    return (a + 1.0 - b) / 2, None


def opinions(
    engine: Engine,
    asked: Sequence[tuple[str, str | None]],
    how: Comparing,
    seed: int = 0,
    round_number: int = 0,
) -> list[Opinion]:
    """What a model thinks of comparisons, in order: each the id of its principle and `comparison_prompt`, or
    None for one that cannot be asked. BadInput where the engine does not offer its probabilities.
    """
    if not isinstance(engine, Weighing):
        raise BadInput("a comparison by principles needs an engine that offers its probabilities (embedded)")
    found = [
        Opinion(text, reason=None if text is not None else UNQUOTABLE, principle=principle)
        for principle, text in asked
    ]
    open_ = [one for one in found if one.asked is not None]
    if how.reasoning is not None:
        _reason(engine, open_, how.reasoning, seed, round_number)
    for one in open_:
        if one.reason is None:
            _weigh(engine, one, how)
    return found


def _reason(engine: Any, found: list[Opinion], tokens: int, seed: int, round_number: int) -> None:
    """Have the model reason about each comparison first; one that it did not end has no opinion."""
    sampling = Sampling(samples=1, temperature=0.7, max_tokens=tokens)
    for one in found:
        assert one.asked is not None
        one.asked = one.asked.removesuffix(CLOSE) + THINK
    while True:
        open_ = [one for one in found if one.reason is None]
        texts = [one.asked for one in open_]
        seeds = [
            first_seed("comparison", seed, round_number, one.principle, one.asked or "") for one in open_
        ]
        try:
            samples = engine.generate(texts, sampling, seeds)
            break
        except PromptRefused as error:  # names all that do not fit, before anything is generated
            if not error.indices:
                raise
            for place in error.indices:
                open_[place].reason = TOO_LONG
    for one, (sample,) in zip(open_, samples, strict=True):
        one.sample = sample
        one.reason = None if sample.finish_reason == "stop" else CUT_OFF


def _weigh(engine: Weighing, one: Opinion, how: Comparing) -> None:
    """The chance of the first option, from the likelihoods of both as the model's next words."""
    assert one.asked is not None
    begun = [] if one.sample is None else _ids(engine, one.sample.text.rstrip() + CLOSE)
    try:
        logprobs = option_logprobs(engine, one.asked, begun)
    except PromptRefused:
        one.reason = TOO_LONG
        return
    if not math.fsum(map(math.exp, logprobs)) >= how.least_mass:
        one.reason = NEITHER
        return
    first = 1.0 / (1.0 + math.exp(min(700.0, logprobs[1] - logprobs[0])))
    most = 1.0 if one.sample is None or how.clamp is None else how.clamp
    one.first = min(max(first, 1.0 - most), most)


def option_logprobs(engine: Weighing, asked: Prompt, begun: Sequence[int] = ()) -> list[float]:
    """Log-likelihoods (nats) of `OPTIONS` as an answer's next words, after the tokens that begin it."""
    after: dict[tuple[int, ...], list[float]] = {}
    totals = []
    for option in OPTIONS:
        ids, total = _ids(engine, option), 0.0
        for place, token in enumerate(ids):
            before = tuple(ids[:place])
            if before not in after:
                after[before] = engine.logprobs_after(asked, [*begun, *before])
            total += after[before][token]
        totals.append(total)
    return totals


def _ids(engine: Weighing, text: str) -> list[int]:
    ids: list[int] = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def principle_rows(
    engine: Engine,
    how: Comparing,
    pairs: pl.DataFrame,
    *,
    judge_checkpoint_id: str,
    round_number: int,
    seed: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reasonings and preferences on pairs (columns left_id, right_id, prompt_id, split, prompt, left, right,
    maybe messages).

    Returns rows of `candidates` (kind judgement; the parents are the two candidates in the order shown) and
    of `preferences`: one a pair and principle; without a verdict it has a reason, and chosen is left.
    """
    specials = special_texts(getattr(engine, "tokenizer", None))
    asked: list[tuple[dict[str, Any], Principle]] = []
    texts: list[tuple[str, str | None]] = []
    for prompt, row in zip(prompts_of(pairs, "prompt"), pairs.to_dicts(), strict=True):
        for principle in how.drawn((row["left_id"], row["right_id"]), seed):
            asked.append((row, principle))
            sides = row["left"], row["right"]
            for first, second in (sides, sides[::-1]):
                text = _comparison(prompt, principle.comparison, first, second, specials)
                texts.append((principle.id, text))
    found = opinions(engine, texts, how, seed, round_number)
    reasonings, preferences = [], []
    for number, (row, principle) in enumerate(asked):
        orders = found[2 * number], found[2 * number + 1]
        ids = row["left_id"], row["right_id"]
        name = how.named(principle)
        silent = says_nothing(row["left"]) or says_nothing(row["right"])
        left, reason = (None, SILENT) if silent else verdict_of(*orders)
        for one, shown in zip(orders, (ids, ids[::-1]), strict=True):
            if one.sample is not None:
                about = (how.reasoning, name, judge_checkpoint_id, round_number)
                reasonings.append(_reasoning(row, shown, one.sample, *about))
        chosen, rejected = ids if left is None or left >= 0.5 else ids[::-1]
        preferences.append(
            {
                "preference_id": preference_id(round_number, chosen, rejected, name, judge_checkpoint_id),
                "prompt_id": row["prompt_id"],
                "chosen_id": chosen,
                "rejected_id": rejected,
                "probability": None if left is None else max(left, 1.0 - left),
                "principle": name,
                "chosen_first": None,
                "judge_checkpoint_id": judge_checkpoint_id,
                "reason": reason,
            }
        )
    return CANDIDATES.frame(reasonings), PREFERENCES.frame(preferences)


def _comparison(
    prompt: Prompt, comparison: str, first: str, second: str, specials: Sequence[str]
) -> str | None:
    if says_nothing(first) or says_nothing(second):
        return None
    try:
        return comparison_prompt(prompt, comparison, first, second, specials)
    except ValueError:  # a special token that cannot be broken
        return None


def _reasoning(
    row: dict[str, Any],
    shown: Sequence[str],
    sample: Sample,
    tokens: int | None,
    principle: str,
    judge: str,
    round_number: int,
) -> dict[str, Any]:
    further = Sampling().further(principle=principle)
    settings = (0.7, 1.0, tokens, further)
    return {
        "candidate_id": judgement_id(round_number, shown, judge, sample.index, sample.seed, *settings),
        "prompt_id": row["prompt_id"],
        "checkpoint_id": judge,
        "kind": "judgement",
        "split": row["split"],
        "sample_index": sample.index,
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "token_count": sample.token_count,
        "logprob_sum": sample.logprob_sum,
        "temperature": settings[0],
        "top_p": settings[1],
        "max_tokens": settings[2],
        "settings": further,
        "seed": sample.seed,
        "parents": list(shown),
    }
