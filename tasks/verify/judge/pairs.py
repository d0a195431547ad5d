"""Pairwise judging: which of two answers is better, asked in both orders, as rows of `preferences`.

Where the orders disagree the probability is 0.5: the judge preferred a place, not an answer. Where an order
has fewer valid votes than the rubric asks for, the probability is null, never 0.5: there is no verdict. An
answer that says nothing loses to one that says something, and no judge is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from schemas.identity import preference_id
from schemas.tables import CANDIDATES, PREFERENCES
from tasks.generate.engine import Engine, Progress, Sample
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.neutral import quoted, quoted_prompt, says_nothing, special_texts
from tasks.verify.judge.expected import Menu, menu_tokens
from tasks.verify.judge.judge import judgement_row, judgements
from tasks.verify.judge.judgement import Vote, read_vote
from tasks.verify.judge.rubric import Rubric


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt."""

    prompt: Prompt
    left: str
    right: str
    reference: str | None = None

    @property
    def turned(self) -> Pair:
        """The same pair in the other order."""
        return Pair(self.prompt, self.right, self.left, self.reference)

    @property
    def settled(self) -> float | None:
        """1.0 where only left says something, 0.0 where only right does, 0.5 for neither; None: ask."""
        empty = says_nothing(self.left), says_nothing(self.right)
        return None if not any(empty) else (1.0 + empty[1] - empty[0]) / 2


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a pair as judged: the texts and their votes.

    `first` is the share of valid votes for the answer shown first; None where too few votes are valid.
    """

    samples: tuple[Sample, ...]
    votes: tuple[Vote, ...]
    first: float | None


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A pair as judged: with left shown first, and with right shown first."""

    left_first: Order
    right_first: Order

    @property
    def means_a_place(self) -> bool:
        """Whether both orders prefer what is shown first, or both what is shown second."""
        a, b = self.left_first.first, self.right_first.first
        return a is not None and b is not None and (min(a, b) > 0.5 or max(a, b) < 0.5)

    @property
    def undecided(self) -> JudgedPair:
        """The same with both orders at 0.5."""
        return JudgedPair(replace(self.left_first, first=0.5), replace(self.right_first, first=0.5))

    @property
    def reason(self) -> str | None:
        """Why no side is preferred, in one line; None: one is."""
        if self.probability is None:
            return "no verdict"
        return "the two orders disagree, or prefer neither" if self.probability == 0.5 else None

    @property
    def probability(self) -> float | None:
        """That left is better: the mean over both orders, 0.5 where they disagree; None: no verdict."""
        a, b = self.left_first.first, self.right_first.first
        return None if a is None or b is None else (a + 1.0 - b) / 2


def judge_pairs(
    engine: Engine,
    rubric: Rubric,
    pairs: Sequence[Pair],
    *,
    seed: int = 0,
    round_number: int = 0,
    progress: Progress | None = None,
    logits: bool = False,
    clamp: float | None = None,
) -> list[JudgedPair]:
    """Both orders of each pair, in the order of the pairs.

    With `logits` a vote is the judge's own chance of each verdict where it wrote its own, held within `clamp`
    (0.5 to 1) and 1 - `clamp`; orders that mean the same place count as 0.5 then. BadInput where the engine
    does not offer its probabilities.
    """
    menu = menu_tokens(engine, rubric) if logits else None
    specials = special_texts(getattr(engine, "tokenizer", None))
    both_orders = [order for pair in pairs for order in (pair, pair.turned)]
    prompts = [
        None if one.settled is not None else _judge_prompt(rubric, one, specials) for one in both_orders
    ]
    texts = [text for text in prompts if text is not None]
    samples = iter(judgements(engine, rubric, texts, seed, round_number, progress))
    orders = [
        Order((), (), one.settled) if text is None else _order(next(samples), rubric, menu, text, clamp)
        for one, text in zip(both_orders, prompts, strict=True)
    ]
    judged = [JudgedPair(*orders[i : i + 2]) for i in range(0, len(orders), 2)]
    return [one.undecided if logits and one.means_a_place else one for one in judged]


def preference_rows(
    engine: Engine,
    rubric: Rubric,
    pairs: pl.DataFrame,
    *,
    judge_checkpoint_id: str,
    round_number: int,
    seed: int,
    progress: Progress | None = None,
    logits: bool = False,
    clamp: float | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judgements and preferences on pairs (columns left_id, right_id, prompt_id, split, prompt, left, right).

    Returns rows of `candidates` (kind judgement; the parents are the two candidates in the order shown) and
    of `preferences`, one a pair: `principle` is the rubric's label, `chosen_first` null since both orders
    were shown. At 0.5, and without a verdict, chosen is left. `logits` and `clamp`: see `judge_pairs`.
    """
    rows = pairs.to_dicts()
    pairs_ = [
        Pair(prompt, row["left"], row["right"])
        for prompt, row in zip(prompts_of(pairs, "prompt"), rows, strict=True)
    ]
    judged_pairs = judge_pairs(
        engine,
        rubric,
        pairs_,
        seed=seed,
        round_number=round_number,
        progress=progress,
        logits=logits,
        clamp=clamp,
    )
    judgement_rows, preferences = [], []
    for row, one in zip(rows, judged_pairs, strict=True):
        ids = [row["left_id"], row["right_id"]]
        for order, order_ids in ((one.left_first, ids), (one.right_first, ids[::-1])):
            judgement_rows += [
                judgement_row(row, order_ids, sample, rubric, judge_checkpoint_id, round_number)
                for sample in order.samples
            ]
        left = one.probability
        chosen, rejected = ids if left is None or left >= 0.5 else ids[::-1]
        preferences.append(
            {
                "preference_id": preference_id(
                    round_number, chosen, rejected, rubric.label, judge_checkpoint_id
                ),
                "prompt_id": row["prompt_id"],
                "chosen_id": chosen,
                "rejected_id": rejected,
                "probability": None if left is None else max(left, 1.0 - left),
                "principle": rubric.label,
                "chosen_first": None,
                "judge_checkpoint_id": judge_checkpoint_id,
                "reason": one.reason,
            }
        )
    return CANDIDATES.frame(judgement_rows), PREFERENCES.frame(preferences)


def pair_question(rubric: Rubric, pair: Pair, specials: Sequence[str] = ()) -> str:
    """What the judge is asked about a pair, left shown first, all that is quoted made harmless."""
    slots = {
        "prompt": quoted_prompt(pair.prompt, specials),
        "first": quoted(pair.left, specials),
        "second": quoted(pair.right, specials),
    }
    quoted_reference = None if pair.reference is None else quoted(pair.reference, specials)
    return rubric.render(slots, quoted_reference)


def _judge_prompt(rubric: Rubric, pair: Pair, specials: Sequence[str]) -> str | None:
    try:
        return pair_question(rubric, pair, specials)
    except ValueError:  # a special token that cannot be broken
        return None


def _order(
    samples: tuple[Sample, ...] | None, rubric: Rubric, menu: Menu | None, question: str, clamp: float | None
) -> Order:
    """One order from the judge's texts; None for a question that does not fit its context."""
    votes = tuple(read_vote(one.text, one.finish_reason, rubric) for one in samples or ())
    valid = [float(vote.verdict == rubric.menu[0]) for vote in votes if vote.verdict is not None]
    if menu is not None:
        shares = (menu.share(question, one, vote) for one, vote in zip(samples or (), votes, strict=True))
        most = 1.0 if clamp is None else clamp
        valid = [min(max(one, 1.0 - most), most) for one in shares if one is not None]
    first = sum(valid) / len(valid) if len(valid) >= rubric.least_valid else None
    return Order(samples or (), votes, first)
