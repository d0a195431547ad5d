"""Promises of the judge, with the tutor's own: repeatable judgements, events that hold together, and no pass
for a text without an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.errors import ModelError
from schemas.identity import IDENTITIES, answer_id, guest_id, prompt_id
from schemas.tables import TABLES
from schemas.units import Unit
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.engine import Sample
from tasks.models.checkpoint import weights_hash
from tasks.models.neutral import special_texts
from tasks.models.rendering import prompt_text
from tasks.verify.judge.expected import mean_points, menu_tokens
from tasks.verify.judge.judge import (
    JudgeInput,
    VotedVerdict,
    judge_answers,
    judge_prompt,
    judgement_rows,
    verdict_rows,
)
from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.pairs import Pair, judge_pairs, pair_question, preference_rows
from tasks.verify.judge.rubric import load_rubric
from tests.generate.conftest import byte_tokenizer, save_model
from tutor import JUDGE
from tutor.labelled import MASTER_KEYS, labelled
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.verify.lake import verify_lake

STORY, PAIR = load_rubric("story"), load_rubric("story-pair")
QUESTION = "Tom has 12 apples. Tom gives 5 apples to Ben. How many apples does Tom have now?"
RIGHT, WRONG = "That leaves <<12-5=7>>7.\n#### 7", "That leaves <<12+5=17>>17.\n#### 17"


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(JUDGE, device="cpu")


@pytest.fixture(scope="module")
def answers() -> pl.DataFrame:
    rows = labelled(3, 60)
    return rows.filter(pl.col("writer").is_in(["careful", "careless"]))


@pytest.fixture(scope="module")
def judged(engine: EmbeddedEngine, answers: pl.DataFrame) -> list[VotedVerdict]:
    inputs = [JudgeInput(prompt, text) for prompt, text in answers.select("prompt", "answer").iter_rows()]
    return judge_answers(engine, STORY, inputs)


def test_a_judges_value_is_the_mean_of_its_valid_votes(judged: list[VotedVerdict]) -> None:
    for one in judged:
        assert len(one.samples) == len(one.votes) == STORY.votes
        read = [read_vote(sample.text, sample.finish_reason, STORY) for sample in one.samples]
        assert list(one.votes) == read
        points = tuple(vote.points for vote in read if vote.points is not None)
        assert one.verdict.steps == points
        if len(points) < STORY.least_valid:
            assert (one.verdict.outcome, one.verdict.value) == ("error", None)
        else:
            assert one.verdict.value == pytest.approx(sum(points) / len(points))
            assert (one.verdict.outcome == "pass") == (one.verdict.value >= (STORY.pass_from or 0))


def test_the_tutors_judge_is_better_than_chance_and_worse_than_the_known_answers(
    judged: list[VotedVerdict], answers: pl.DataFrame
) -> None:
    passes = [one.verdict.outcome == "pass" for one in judged]
    agreement = sum(a == b for a, b in zip(passes, answers["label"], strict=True)) / len(passes)
    assert 0.55 < agreement < 0.95


def test_a_judgement_does_not_depend_on_what_else_is_judged(
    engine: EmbeddedEngine, judged: list[VotedVerdict], answers: pl.DataFrame
) -> None:
    inputs = [JudgeInput(prompt, text) for prompt, text in answers.select("prompt", "answer").iter_rows()]
    again = judge_answers(engine, STORY, [inputs[7], inputs[3], inputs[7]])
    texts = [[sample.text for sample in one.samples] for one in again]
    assert texts[0] == texts[2] == [sample.text for sample in judged[7].samples]
    assert texts[1] == [sample.text for sample in judged[3].samples]
    other = judge_answers(engine, STORY, [inputs[7]], seed=1)
    assert other[0].samples[0].seed != again[0].samples[0].seed


@pytest.mark.parametrize("text", MASTER_KEYS)
def test_a_master_key_passes_no_judge(engine: EmbeddedEngine, text: str) -> None:
    (one,) = judge_answers(engine, STORY, [JudgeInput(QUESTION, text)])
    assert one.verdict.outcome == "fail"


def test_an_answer_that_says_nothing_is_shown_to_no_judge(engine: EmbeddedEngine) -> None:
    verdicts = judge_answers(
        engine, STORY, [JudgeInput(QUESTION, text) for text in ("", ":", "Thought process:")]
    )
    assert [one.samples for one in verdicts] == [(), (), ()]
    assert [one.verdict.value for one in verdicts] == [0.0, 0.0, 0.0]


def test_no_text_and_one_beyond_the_context_are_unscorable_and_spoil_no_other(engine: EmbeddedEngine) -> None:
    inputs = [JudgeInput(QUESTION, None), JudgeInput(QUESTION, "7 " * 5000), JudgeInput(QUESTION, RIGHT)]
    none, long, right = judge_answers(engine, STORY, inputs)
    assert none.verdict.outcome == long.verdict.outcome == "unscorable"
    assert "context" in long.verdict.reason
    assert right.votes == judge_answers(engine, STORY, [inputs[2]])[0].votes


def test_a_model_that_gives_no_verdict_is_an_error_and_never_a_zero(tmp_path: Path) -> None:
    short = STORY.model_copy(update={"prompt": "{prompt}\n{answer}\nScore: 3", "max_tokens": 8})
    with EmbeddedEngine(save_model(tmp_path / "babbler", "llama"), device="cpu") as babbler:
        (one,) = judge_answers(babbler, short, [JudgeInput("1+1?", "2")])
    assert (one.verdict.outcome, one.verdict.value) == ("error", None)
    assert "valid ones are needed" in one.verdict.reason


def test_both_orders_of_a_pair_are_asked_and_a_place_wins_nothing(
    engine: EmbeddedEngine, answers: pl.DataFrame
) -> None:
    pairs = [
        Pair(prompt, *part["answer"].to_list())
        for (prompt,), part in answers.group_by("prompt", maintain_order=True)
        if part["answer"].n_unique() == 2
    ]
    verdicts = judge_pairs(engine, PAIR, pairs[:30])
    assert len(verdicts) == 30
    for one in verdicts:
        a, b = one.left_first.first, one.right_first.first
        if a is not None and b is not None:
            assert one.probability == (0.5 if a == b else a)
        else:
            assert one.probability is None
    assert any(one.probability not in (None, 0.5) for one in verdicts)
    turned = judge_pairs(engine, PAIR, [pair.turned for pair in pairs[:30]])
    assert [one.left_first.votes for one in turned] == [one.right_first.votes for one in verdicts]


def test_a_pairs_soft_label_is_the_judges_own_chance_of_what_it_wrote(
    engine: EmbeddedEngine, answers: pl.DataFrame
) -> None:
    pairs = [
        Pair(prompt, *part["answer"].to_list())
        for (prompt,), part in answers.group_by("prompt", maintain_order=True)
        if part["answer"].n_unique() == 2
    ][:8]
    votes, soft = judge_pairs(engine, PAIR, pairs), judge_pairs(engine, PAIR, pairs, logits=True)
    held = judge_pairs(engine, PAIR, pairs, logits=True, clamp=0.6)
    menu = menu_tokens(engine, PAIR)
    for pair, hard, one, less in zip(pairs, votes, soft, held, strict=True):
        assert one.left_first.samples == hard.left_first.samples
        a, b = (
            menu.share(
                pair_question(PAIR, asked, special_texts(engine.tokenizer)), order.samples[0], order.votes[0]
            )
            for asked, order in ((pair, hard.left_first), (pair.turned, hard.right_first))
        )
        assert a is not None
        assert b is not None
        place = min(a, b) > 0.5 or max(a, b) < 0.5
        assert one.probability == pytest.approx(0.5 if place else (a + 1 - b) / 2)
        assert less.probability is not None
        assert 0.4 <= less.probability <= 0.6
    assert {one.probability for one in soft} - {0.0, 0.5, 1.0}


def test_an_empty_answer_never_wins_a_pair(engine: EmbeddedEngine) -> None:
    (one,) = judge_pairs(engine, PAIR, [Pair(QUESTION, "", WRONG)])
    assert one.probability == 0.0
    assert judge_pairs(engine, PAIR, [Pair(QUESTION, ":", "")])[0].probability == 0.5


def candidates(loop: str, prompt: str, writer: str) -> pl.DataFrame:
    """Two answers of a checkpoint to one prompt, as the log holds them."""
    rows = [
        {
            "candidate_id": answer_id(0, prompt, writer, index, index, 0.0, 1.0, 96),
            "prompt_id": prompt,
            "checkpoint_id": writer,
            "kind": "answer",
            "split": "train",
            "sample_index": index,
            "text": text,
            "temperature": 0.0,
            "top_p": 1.0,
            "max_tokens": 96,
            "seed": index,
        }
        for index, text in enumerate((RIGHT, WRONG))
    ]
    return pl.DataFrame(rows)


def test_every_judgement_and_verdict_is_an_event_whose_id_follows_from_its_row(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    log, loop = Log(Lake.create(tmp_path / "lake")), "judged"
    sha = weights_hash(JUDGE)
    judge, prompt = guest_id(0, loop, "judge", sha), prompt_id(0, loop, "train", "test", 1, QUESTION)
    checkpoint = {"checkpoint_id": judge, "content_hash": sha, "role": "judge", "path": str(JUDGE)}
    prompt_row = {"prompt_id": prompt, "split": "train", "source": "test", "line": 1, "text": QUESTION}
    log.once(Unit(loop, 0, "open"), "checkpoints", lambda: pl.DataFrame([checkpoint]))
    log.once(Unit(loop, 0, "admit"), "prompts", lambda: pl.DataFrame([prompt_row]))
    rows = log.once(Unit(loop, 0, "write"), "candidates", lambda: candidates(loop, prompt, judge))
    answer_rows = rows.with_columns(prompt=pl.lit(QUESTION))
    how = {"judge_checkpoint_id": judge, "round_number": 0, "seed": 0}
    judgements = judgement_rows(engine, STORY, answer_rows, **how)  # type: ignore[arg-type]
    scores = verdict_rows(engine, STORY, answer_rows, judgements, **how)  # type: ignore[arg-type]
    ids = rows["candidate_id"].to_list()
    pairs = pl.DataFrame(
        [
            {"left_id": ids[0], "right_id": ids[1], "left": RIGHT, "right": WRONG, "prompt": QUESTION}
            | prompt_row
        ]
    )
    compared, preferences = preference_rows(engine, PAIR, pairs, **how)  # type: ignore[arg-type]
    log.once(Unit(loop, 0, "judge"), "candidates", lambda: judgements)
    log.once(Unit(loop, 0, "judge"), "scores", lambda: scores)
    log.once(Unit(loop, 0, "compare"), "candidates", lambda: compared)
    log.once(Unit(loop, 0, "compare"), "preferences", lambda: preferences)
    assert judgements.height == 2 * STORY.votes
    assert compared["parents"].to_list() == [ids, ids[::-1]]
    assert set(scores["verifier_version"]) == {STORY.label}
    findings = verify_lake(log.lake, deep=True)
    assert findings.clean, findings.items


def test_another_judge_rubric_or_vote_is_another_row(engine: EmbeddedEngine) -> None:
    answer_rows = candidates("x", "prompt-00000-" + "0" * 24, "ckpt-00000-" + "0" * 24)
    answer_rows = answer_rows.with_columns(prompt=pl.lit(QUESTION))
    seen: list[str] = []
    for who, rubric in (("ckpt-1", STORY), ("ckpt-2", STORY), ("ckpt-1", STORY.with_votes(1))):
        how: dict[str, Any] = {"judge_checkpoint_id": who, "round_number": 0, "seed": 0}
        judgements = judgement_rows(engine, rubric, answer_rows, **how)
        scores = verdict_rows(engine, rubric, answer_rows, judgements, **how)
        for rows, key in ((judgements, "candidate_id"), (scores, "score_id")):
            seen += rows[key].to_list()
            table = "candidates" if key == "candidate_id" else "scores"
            formula = IDENTITIES[table]
            full = rows.with_columns(round=pl.lit(0), loop=pl.lit("x"))
            unsaid = (pl.lit(None).alias(name) for name in formula.columns if name not in full.columns)
            full = full.with_columns(*unsaid).select(*formula.columns, key)
            assert all(formula.of(*row[:-1]) == row[-1] for row in full.rows())
            assert set(rows.columns) <= set(TABLES[table].own_polars)
    assert len(set(seen)) == len(seen) == 2 * (3 + 3 + 1) + 2 * 3


class Silent:
    """An engine that may not be asked."""

    def __init__(self, tokenizer: object) -> None:
        self.tokenizer = tokenizer

    def generate(self, prompts: object, *_: object) -> list[list[Sample]]:
        raise AssertionError(f"asked for {prompts}")


def test_verdicts_are_those_of_the_texts_on_record_and_ask_for_none(engine: EmbeddedEngine) -> None:
    answer_rows = candidates("x", "prompt-00000-" + "0" * 24, "ckpt-00000-" + "0" * 24)
    answer_rows = answer_rows.with_columns(prompt=pl.lit(QUESTION))
    how: dict[str, Any] = {"judge_checkpoint_id": "ckpt-1", "round_number": 0, "seed": 0}
    judgements = judgement_rows(engine, STORY, answer_rows, **how)
    first = pl.col("sample_index") == 0
    recorded = judgements.with_columns(
        text=pl.when(first).then(pl.lit("Score: 1")).otherwise(pl.lit("Score: 3"))
    )
    scores = verdict_rows(Silent(engine.tokenizer), STORY, answer_rows, recorded.reverse(), **how)
    assert scores["steps"].to_list() == [[1.0, 3.0, 3.0]] * 2


def test_an_answer_without_a_judgement_has_the_verdict_that_says_why(engine: EmbeddedEngine) -> None:
    answer_rows = candidates("x", "prompt-00000-" + "0" * 24, "ckpt-00000-" + "0" * 24)
    long = answer_rows.with_columns(prompt=pl.lit(QUESTION), text=pl.Series(["7 " * 5000, "Answer:"]))
    how: dict[str, Any] = {"judge_checkpoint_id": "ckpt-1", "round_number": 0, "seed": 0}
    judgements = judgement_rows(engine, STORY, long, **how)
    assert judgements.is_empty()
    scores = verdict_rows(engine, STORY, long, judgements, **how)
    assert scores["outcome"].to_list() == ["unscorable", "fail"]
    assert "context" in scores["rationale"][0]


def test_the_engines_special_tokens_are_known(engine: EmbeddedEngine) -> None:
    assert {"<|end|>", "<|assistant|>", "<|user|>"} <= set(special_texts(engine.tokenizer))


def test_a_template_without_a_system_role_judges_and_one_that_refuses_users_is_refused() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{%- for m in messages -%}{%- if m['role'] != 'user' -%}{{- raise_exception('only users speak') -}}"
        "{%- endif -%}{{- '<u>' + m['content'] -}}{%- endfor -%}"
    )
    prompt = judge_prompt(STORY, JudgeInput(QUESTION, RIGHT))
    assert prompt_text(tokenizer, prompt) == "<u>" + prompt
    with pytest.raises(ModelError, match="refuses a message by system and user: only users speak"):
        prompt_text(tokenizer, prompt, system="Be fair.")


def test_expected_points_hold_where_all_verdicts_are_unlikely() -> None:
    tokens = {str(points): points for points in range(3)}
    assert mean_points(tokens, [-2000.0, -2000.0, -2000.0]) == pytest.approx(1.0)
    assert mean_points(tokens, [-3000.0, -2000.0, -1000.0]) == pytest.approx(2.0)
