"""Points that a judge expects: its own probabilities of each verdict, where it wrote the one that it gave.

The mean over the menu, weighed by the probability of each verdict's token, says more than the one verdict
that was drawn (Liu et al. 2023, G-Eval, arXiv 2303.16634). The judgement is written first, its reasons too,
and is read as strictly as ever; a vote without a verdict stays one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from schemas.errors import BadInput
from tasks.generate.engine import Engine, Sample
from tasks.models.conversation import Prompt
from tasks.verify.judge.judgement import Vote
from tasks.verify.judge.rubric import Rubric


@runtime_checkable
class Weighing(Protocol):
    """An engine that offers its probabilities."""

    tokenizer: Any

    def logprobs_after(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of every token after a prompt and the tokens of an answer that was begun."""
        ...


@dataclass(frozen=True, slots=True)
class Menu:
    """An engine and its tokens of a rubric's verdicts: for each way to write them, verdict to token."""

    engine: Weighing
    writings: tuple[Mapping[str, int], ...]

    def weighed(self, question: Prompt, sample: Sample, vote: Vote) -> Vote:
        """The vote with the points that the judge expects, where its verdict is a token of its own."""
        if vote.verdict is None:
            return vote
        for place in reversed(range(len(sample.token_ids))):
            for tokens in self.writings:
                if tokens[vote.verdict] == sample.token_ids[place]:
                    logprobs = self.engine.logprobs_after(question, sample.token_ids[:place])
                    return replace(vote, expected=mean_points(tokens, logprobs))
        return vote

    def share(self, question: Prompt, sample: Sample, vote: Vote) -> float | None:
        """The chance of the menu's first verdict where the judge wrote its own; None: it wrote none."""
        if vote.verdict is None:
            return None
        for place in reversed(range(len(sample.token_ids))):
            for tokens in self.writings:
                if tokens[vote.verdict] == sample.token_ids[place]:
                    logprobs = self.engine.logprobs_after(question, sample.token_ids[:place])
                    own = logprobs[tokens[next(iter(tokens))]]
                    return 1.0 / math.fsum(
                        math.exp(min(700.0, logprobs[token] - own)) for token in tokens.values()
                    )
        return None


def menu_tokens(engine: Engine, rubric: Rubric) -> Menu:
    """The menu of a rubric in an engine's tokens; BadInput where it cannot be weighed."""
    if not isinstance(engine, Weighing):
        raise BadInput("this engine does not offer its probabilities: judge without --logits")
    writings = []
    for before in ("", " ", "\n"):
        tokens = {verdict: _token(engine.tokenizer, before + verdict) for verdict in rubric.menu}
        whole = {verdict: token for verdict, token in tokens.items() if token is not None}
        if len(set(whole.values())) == len(rubric.menu) and whole not in writings:
            writings.append(whole)
    if not writings:
        raise BadInput(f"the judge's tokenizer has no token for each of {', '.join(rubric.menu)}")
    return Menu(engine, tuple(writings))


def _token(tokenizer: Any, text: str) -> int | None:
    """The one token that a text ends with and that is all of it but blanks; None where it takes several."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids[-1] if ids and str(tokenizer.decode(ids[-1:])).strip() == text.strip() else None


def mean_points(tokens: Mapping[str, int], logprobs: Sequence[float]) -> float:
    """The mean over a menu, weighed by the probability of each verdict's token."""
    most = max(logprobs[token] for token in tokens.values())  # where all of them are small
    weights = {verdict: math.exp(logprobs[token] - most) for verdict, token in tokens.items()}
    total = math.fsum(weights.values())
    return math.fsum(float(verdict) * weight for verdict, weight in weights.items()) / total
