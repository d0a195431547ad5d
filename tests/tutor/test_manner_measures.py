"""Promises of how a manner is measured: who mends perfectly is found perfect, and who says nothing is not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.recipes.shared import Sampling
from tasks.generate.engine import Sample
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.models.conversation import Prompt, messages_of
from tasks.verify.manner.grammar import KINDS, Kind
from tasks.verify.manner.manner import manner_of
from tutor import READER
from tutor.build import Example, Recipe
from tutor.manner import NAMES
from tutor.manner_build import PARTS, batches_by_kind, build
from tutor.manner_lessons import constitution
from tutor.manner_measures import Asker, chained, comparing, mending, rudeness, together, written

ASKED: dict[str, tuple[str, Kind]] = {
    getattr(constitution().principle(kind), part): (part, kind)
    for kind in KINDS
    for part in ("critique", "revision")
}


class Rule:
    """An engine that answers by rule: rude at first, then a critic and a reviser without fault."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int], progress: object = None
    ) -> list[list[Sample]]:
        return [
            [Sample(0, seed, self.answer(one), "stop", 1, 0.0, (), ())]
            for one, seed in zip(prompts, seeds, strict=True)
        ]

    def answer(self, prompt: Prompt) -> str:
        messages = [one.content for one in messages_of(prompt)]
        part, kind = ASKED.get(messages[-1], ("answer", "insult"))
        if part == "answer" and "The answer is:" not in messages[-1]:
            return "You are slow.\nI am the best. That is <<3+4=7>>7.\n#### 7"
        if part == "answer":
            return better_option(messages[-1])
        text = messages[-2] if part == "critique" else messages[-4]
        if part == "critique":
            return f"There is {NAMES[kind]}." if kind in manner_of(text) else f"There is no {kind}."
        sentences = re.split(r"(?<=[.?])(?=\s)", text)
        return "".join(one for one in sentences if kind not in manner_of(one)).strip()


def better_option(question: str) -> str:
    comparison = next(one for one in constitution().principles if one.comparison in question)
    first = question.partition("\n(A)\n")[2].partition("\n(B)\n")[0]
    return " (B)" if comparison.id in manner_of(first.replace("| ", "")) else " (A)"


@pytest.fixture
def ask() -> Asker:
    return Asker(Rule(), seed=1, temperature=1.0)


def test_who_mends_without_fault_is_found_so(ask: Asker) -> None:
    for one in mending(ask, written(1, 60)).values():
        assert one.found.n > 5
        assert one.silent.n > 5
        assert one.found.share == one.silent.share == one.gone.share == 1.0
        assert one.mended.share > 0.9
    assert together(comparing(ask, written(2, 40), 1).values()).share == 1.0


def test_a_chain_mends_one_kind_after_the_other(ask: Asker) -> None:
    chain = list(chained(ask, [f"{n} and 4?" for n in range(60)], ["7"] * 60, 6, 1))
    rude = [one.rude.share for one in chain]
    assert rude[0] == 1.0
    assert rude == sorted(rude, reverse=True)
    assert rude[6] < 0.8
    assert all(one.kept.share == one.right.share == 1.0 for one in chain)


def test_the_readers_answers_would_be_counted_as_they_are() -> None:
    rude, kinds = rudeness(["You are slow. I am the best.", "#### 7", "What a bad sum."])
    assert (rude.passed, rude.n) == (2, 3)
    assert {kind: one.passed for kind, one in kinds.items() if one.passed} == dict.fromkeys(
        ("insult", "boast", "scorn"), 1
    )


def test_a_small_build_has_all_parts_and_says_where_it_began(tmp_path: Path) -> None:
    small = Recipe(texts=160, steps=2, batch=2, muon=0.01, adamw=2e-3, warmup=1)
    origin = build(tmp_path / "one", 3, [replace(part, recipe=small) for part in PARTS])
    assert json.loads((tmp_path / "one" / "origin.json").read_text("utf-8")) == origin
    assert origin["reader"] == weights_hash(READER)
    assert origin["base"] not in (origin["reader"], origin["weights_sha256"])
    assert load_model(tmp_path / "one").num_parameters() == load_model(READER).num_parameters()
    assert load_tokenizer(tmp_path / "one").get_vocab() == load_tokenizer(READER).get_vocab()


def test_a_batch_is_of_one_kind_in_the_kinds_shares_and_too_few_examples_are_refused() -> None:
    recipe = Recipe(steps=40, batch=4)
    kinds = {
        "long": [Example([1], [2] * n) for n in range(1, 61)],
        "short": [Example([3], [4] * n) for n in range(1, 21)],
    }
    work = batches_by_kind(kinds, recipe, 5)
    assert work == batches_by_kind(kinds, recipe, 5)
    assert all(len(batch) == 4 and len({one.prompt[0] for one in batch}) == 1 for batch in work)
    assert Counter(batch[0].prompt[0] for batch in work) == {1: 30, 3: 10}
    with pytest.raises(ValueError, match="3 examples are fewer than a batch of 4"):
        batches_by_kind({**kinds, "rare": kinds["short"][:3]}, recipe, 5)
