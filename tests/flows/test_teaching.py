"""Promises of distillation from texts: who taught, how it was asked, what is learned, what it may cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

import tutor
from flows.recipes.distillation.asking import (
    RATIONALISATION,
    rationalise,
    teach,
    verify_rationalised,
    with_answers,
)
from flows.recipes.distillation.learn import kept_texts, learned_form
from flows.recipes.distillation.measured import answer_held_out
from flows.round.progress import Lines, reporting
from flows.round.round import Round
from flows.steps.admit import admit
from flows.steps.freeze import freeze_examples
from flows.steps.instructions import with_invented
from flows.steps.verify import verify_candidates
from flows.writers.explaining import chosen_messages
from flows.writers.purse import Purse
from flows.writers.teachers import check_teacher, teacher_of
from schemas.errors import BadInput, ModelError, RecipeError
from schemas.ids import digest
from schemas.recipes.distillation import Distillation
from tasks.filter.chain import survivors
from tasks.invent.inventor import load_inventor
from tests.flows.small import begun
from tests.flows.small import small as small_recipe
from tests.serving.peer import ById, Peer
from tests.serving.round import KEY
from tutor import BASE, READER, SEEDED_READER
from tutor.teacher_lessons import SYSTEM_MESSAGES
from warehouse.lake import Lake, Where
from warehouse.lineage import trace
from warehouse.loops import fold
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake


def recipe(*settings: str) -> Distillation:
    """The tutor's, small, with some values changed."""
    few = ("prompts.per_round=16", "sampling.samples=2", "invention.count=null", "shard_size=8")
    own: Distillation = small_recipe("distillation", *few, f"teacher.model={READER}", *settings)
    return own


def opened(folder: Path, *settings: str, loop: str = "taught") -> Round[Distillation]:
    """Round 0 of a new loop on the tutor, begun."""
    return begun(folder, READER, recipe(*settings), loop)


Begin = Callable[..., Round[Distillation]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("taught") / "lake"


@pytest.fixture
def asked(lake: Path, request: pytest.FixtureRequest) -> Begin:
    """`asked(settings...)`: round 0 of a loop of the test's own, begun under these values."""
    loops = (f"loop-{digest((request.node.name,))[:8]}-{number}" for number in range(9))
    return lambda *settings: opened(lake, *settings, loop=next(loops))


def purse_of(round_: Round[Distillation]) -> Purse:
    return Purse.of(round_, teacher_of(round_), round_.recipe.teacher.budget)


def test_each_prompt_is_explained_under_one_message_of_the_set_which_is_on_record(
    asked: Begin,
) -> None:
    round_ = asked("mode=explanations")
    prompts, teacher = admit(round_), teacher_of(round_)
    texts = teach(round_, prompts, teacher, purse_of(round_))
    assert texts.height == 2 * prompts.height
    known = [json.loads(one)["system"] for one in texts["settings"]]
    assert {one.rpartition("/")[0] for one in known} == {chosen_messages("tutor").label}
    assert {int(one.rpartition("/")[2]) for one in known} == set(range(len(SYSTEM_MESSAGES)))
    each = texts.group_by("prompt_id").agg(pl.col("settings").n_unique())["settings"]
    assert each.max() == 1
    assert (texts["prompt_tokens"] > 10).all()
    again = teach(round_, prompts, teacher, purse_of(round_))
    assert again.equals(texts)


@pytest.mark.parametrize("learned", [True, False])
def test_an_explanation_is_learned_with_its_system_message_or_as_the_answer_alone(
    asked: Begin, learned: bool
) -> None:
    values = ("mode=explanations", "keep=unfiltered", "rationalising.samples=0")
    round_ = asked(*values, f"explaining.learned={str(learned).lower()}")
    prompts = admit(round_)
    texts = teach(round_, prompts, teacher_of(round_), purse_of(round_))
    scores = verify_candidates(round_, prompts, texts)
    decisions = kept_texts(round_, prompts, texts, scores)
    snapshot = freeze_examples(round_, decisions, form=learned_form(round_))
    examples = query(round_.lake, "FROM examples WHERE snapshot_id = $id", {"id": snapshot})
    assert examples.height == survivors(decisions).height > 10
    settings = dict(texts.select("candidate_id", "settings").iter_rows())
    questions = dict(prompts.select("prompt_id", "text").iter_rows())
    for row in examples.to_dicts():
        place = int(json.loads(settings[row["candidate_id"]])["system"].rpartition("/")[2])
        if learned:
            system, user = json.loads(row["messages"])
            assert (system["role"], system["content"]) == ("system", SYSTEM_MESSAGES[place])
            assert user["content"] == questions[row["prompt_id"]]
        else:
            assert row["messages"] is None
            assert row["prompt"] == questions[row["prompt_id"]]


def test_failed_problems_alone_are_asked_again_with_their_answer_and_what_comes_is_marked(
    asked: Begin,
) -> None:
    round_ = asked("rationalising.samples=2")
    prompts, teacher = admit(round_), teacher_of(round_)
    texts = teach(round_, prompts, teacher, purse_of(round_))
    scores = verify_candidates(round_, prompts, texts)
    told = rationalise(round_, prompts, scores, teacher, purse_of(round_))
    right = set(scores.filter(outcome="pass")["prompt_id"])
    assert 0 < len(right) < prompts.height
    assert set(told["prompt_id"]) == set(prompts["prompt_id"]) - right
    assert set(told["kind"]) == {RATIONALISATION}
    assert told.height == 2 * (prompts.height - len(right))
    both = pl.concat([scores, verify_rationalised(round_, prompts, told)])
    decisions = kept_texts(round_, prompts, pl.concat([texts, told]), both)
    passed = set(both.filter(outcome="pass")["candidate_id"])
    assert set(survivors(decisions)["candidate_id"]) <= passed
    snapshot = freeze_examples(round_, decisions, form=learned_form(round_))
    examples = query(round_.lake, "FROM examples WHERE snapshot_id = $id", {"id": snapshot})
    kinds = dict(told.select("candidate_id", "kind").iter_rows())
    assert [one["kind"] for one in examples.to_dicts()] == [
        kinds.get(one, "answer") for one in examples["candidate_id"]
    ]
    assert set(examples["prompt"]) <= set(prompts["text"]), "the answer is told to the teacher alone"
    assert verify_lake(round_.lake, deep=True).clean


@pytest.fixture(scope="module")
def small(lake: Path) -> Round[Distillation]:
    return opened(lake, loop="small")


@pytest.mark.parametrize(
    ("text", "reference", "told"),
    [
        ("How many?", "7", "How many? The answer is 7."),
        ("Is {answer} a field?", "7", "Is {answer} a field? The answer is 7."),
        ("How many?", "{question}", "How many? The answer is {question}."),
        ("How many?", "3 + 4 = 7\n#### 7", "How many? The answer is 7."),
        ("How many?", '["8", "eight"]', "How many? The answer is 8."),
    ],
)
def test_the_answer_that_is_told_is_the_final_one_and_no_text_is_read_as_a_field(
    small: Round[Distillation], text: str, reference: str, told: str
) -> None:
    one = pl.DataFrame({"prompt_id": ["p"], "text": [text], "reference": [reference]})
    assert with_answers(small, one)["text"].to_list() == [told]


def test_what_has_no_reference_is_kept_by_form_and_what_fails_is_not(asked: Begin) -> None:
    round_ = asked("sampling.temperature=0.9")
    prompts = admit(round_)
    texts = teach(round_, prompts, teacher_of(round_), purse_of(round_))
    half = prompts.with_columns(
        reference=pl.when(pl.col("prompt_id").rank() > 8).then(pl.col("reference")).otherwise(None)
    )
    scores = verify_candidates(round_, half, texts)
    decisions = kept_texts(round_, half, texts, scores)
    kept = texts.join(survivors(decisions), on="candidate_id").join(half, on="prompt_id")
    assert set(half.filter(pl.col("reference").is_null())["prompt_id"]) <= set(kept["prompt_id"])
    outcomes = dict(scores.select("candidate_id", "outcome").iter_rows())
    known = kept.filter(pl.col("reference").is_not_null())
    assert {outcomes[one] for one in known["candidate_id"]} <= {"pass"}
    reasons = decisions.filter(~pl.col("kept") & (pl.col("filter") == "verified"))["reason"]
    assert set(reasons) == {"fail"}


def test_equal_numbers_of_examples_are_drawn_for_arms_that_are_compared(asked: Begin) -> None:
    round_ = asked("keep=unfiltered", "rationalising.samples=0", "examples=5", "cap=1")
    prompts = admit(round_)
    texts = teach(round_, prompts, teacher_of(round_), purse_of(round_))
    decisions = kept_texts(round_, prompts, texts, verify_candidates(round_, prompts, texts))
    assert survivors(decisions).height == 5
    kept = texts.join(survivors(decisions), on="candidate_id")
    assert kept["prompt_id"].n_unique() == 5
    assert set(decisions.filter(~pl.col("kept"))["reason"]) >= {"over cap", "not drawn"}


def test_a_spent_budget_ends_the_asking_and_not_the_round_and_a_round_that_goes_on_asks_the_same(
    asked: Begin,
) -> None:
    round_ = asked("teacher.budget.tokens=2600", "sampling.temperature=0.8", "shard_size=4")
    prompts = admit(round_)
    purse = purse_of(round_)
    texts = teach(round_, prompts, teacher_of(round_), purse)
    spent = int(texts["prompt_tokens"].sum() + texts["token_count"].sum())
    assert purse.read + purse.written == spent <= 2600
    assert 0 < texts["prompt_id"].n_unique() < prompts.height
    assert purse.unasked == prompts.height - texts["prompt_id"].n_unique()
    again = teach(round_, prompts, teacher_of(round_), purse_of(round_))
    assert again.equals(texts)
    scores = verify_candidates(round_, prompts, texts)
    assert set(scores["candidate_id"]) == set(texts["candidate_id"])


def test_a_budget_for_nothing_leaves_nothing_to_learn(asked: Begin) -> None:
    round_ = asked("teacher.budget.tokens=10")
    prompts = admit(round_)
    none = teach(round_, prompts, teacher_of(round_), purse_of(round_))
    assert none.is_empty()
    scores = verify_candidates(round_, prompts, none)
    assert survivors(kept_texts(round_, prompts, none, scores)).is_empty()


def test_what_a_spent_budget_left_unasked_is_told_each_time_that_more_is_and_new_prompts_count_once(
    asked: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    round_ = asked("teacher.budget.tokens=10", "invention.count=4", "invention.attempts=3")
    own, teacher, purse = admit(round_), teacher_of(round_), purse_of(round_)
    assert with_invented(round_, own, teacher, purse).height == own.height
    assert purse.unasked == 4
    capsys.readouterr()
    with reporting(Lines()):
        teach(round_, own, teacher, purse)
        answer_held_out(round_, teacher, purse)
        purse.tell()
    printed = "".join(capsys.readouterr())
    said = [line for line in printed.splitlines() if "were not asked so far" in line]
    held_out = read(round_.lake, "prompts", {"loop": round_.loop, "split": "eval"}).height
    counts = [4 + own.height, 4 + own.height + held_out]
    assert [int(line.split(": ")[-1].split()[0].replace(",", "")) for line in said] == counts


def test_another_loops_champion_teaches_with_its_place_there_on_record(asked: Begin, tmp_path: Path) -> None:
    elsewhere = opened(tmp_path / "other", loop="first")
    here = asked()
    for lake, own in ((here.lake, here.loop), (elsewhere.lake, "first")):
        round_ = asked("teacher.model=null", f"teacher.loop={own}", f"teacher.lake={lake.root}")
        champion = fold(lake, own)
        assert champion is not None
        teacher = teacher_of(round_)
        row = read(round_.lake, "checkpoints", {"checkpoint_id": teacher.id}).row(0, named=True)
        origin = json.loads(row["origin"])
        assert row["role"] == "teacher"
        assert (origin["loop"], origin["checkpoint"]) == (own, champion.champion.id)
        assert row["content_hash"] == champion.champion.content_hash
        assert teacher_of(round_).id == teacher.id
        assert (teacher.folder / "config.json").is_file()
    with pytest.raises(BadInput, match="has no loop nobody whose champion could teach"):
        teacher_of(asked("teacher.model=null", "teacher.loop=nobody"))


def test_new_prompts_are_grown_by_the_teacher_beside_the_rounds_own(asked: Begin) -> None:
    round_ = asked("invention.count=4", "invention.attempts=2", f"teacher.model={SEEDED_READER}")
    own, purse = admit(round_), purse_of(round_)
    prompts = with_invented(round_, own, teacher_of(round_), purse)
    new = prompts.filter(~pl.col("prompt_id").is_in(own["prompt_id"].implode()))
    assert prompts.height == own.height + new.height
    assert 0 < new.height <= 4
    assert new["reference"].null_count() == new.height
    assert set(new["source"]) == {f"invented:{teacher_of(round_).id}"}
    assert purse.read > 0 < purse.written


def test_prompts_that_come_several_in_a_text_are_candidates_of_their_own_and_no_more_than_wanted(
    asked: Begin, tmp_path: Path
) -> None:
    easy = load_inventor("story").model_dump() | {"listed": 3, "form": {"least_words": 1}}
    file = tmp_path / "several.yaml"
    file.write_text(yaml.safe_dump(easy))
    invention = (f"invention.inventor={file}", "invention.count=2", "invention.attempts=3")
    round_ = asked(*invention, "invention.novelty=1.0", f"teacher.model={SEEDED_READER}")
    own = admit(round_)
    prompts = with_invented(round_, own, teacher_of(round_), purse_of(round_))
    where: Where = {"loop": round_.loop}
    written = read(round_.lake, "candidates", where)
    lists, cut = written.filter(kind="instruction-list"), written.filter(kind="instruction")
    assert prompts.height == own.height + 2
    assert set(cut["parents"].explode()) == set(lists["candidate_id"])
    kept = read(round_.lake, "decisions", where).filter(filter="first")
    assert kept["kept"].sum() == 2
    assert verify_lake(round_.lake, deep=True).clean


@pytest.fixture(scope="module")
def behind() -> ById:
    return ById(BASE, device="cpu")


def test_a_teacher_behind_an_endpoint_is_asked_within_the_budget_by_its_requests(
    asked: Begin, behind: ById, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_API_KEY", KEY)
    peer = Peer(behind, key=KEY).start()
    try:
        engine = json.dumps({"kind": "endpoint", "url": peer.url, "model": "tutor", "in_flight": 2})
        money = (
            "teacher.budget.money=0.002",
            "teacher.budget.input_price=1",
            "teacher.budget.output_price=1",
        )
        values = ("teacher.model=null", f"engine={engine}", *money, "shard_size=4", "sampling.samples=1")
        round_ = asked(*values)
        prompts, teacher = admit(round_), teacher_of(round_)
        purse = purse_of(round_)
        texts = teach(round_, prompts, teacher, purse)
        requests = read(round_.lake, "requests", {"loop": round_.loop})
        assert 0 < texts["prompt_id"].n_unique() < prompts.height
        assert set(requests["prompt_id"]) == set(texts["prompt_id"])
        spent = int(requests["prompt_tokens"].sum() + requests["completion_tokens"].sum())
        assert (purse.read + purse.written, purse.money) == (spent, pytest.approx(spent / 1e6))
        assert purse.money <= 0.002
        asked_for = len(peer.asked)
        assert teach(round_, prompts, teacher, purse_of(round_)).equals(texts)
        assert len(peer.asked) == asked_for, "what was paid for is not asked again"
    finally:
        peer.stop()


def test_the_small_nights_cost_is_told_a_kept_example_and_a_point(undisturbed: Callable[[str], Lake]) -> None:
    lake = undisturbed("distillation")
    rows = query(lake, "FROM teaching").to_dicts()
    own = """
        SELECT sum(c.prompt_tokens) AS read, sum(c.token_count) AS written,
               count(*) FILTER (c.split = 'train') AS texts,
               count(*) FILTER (c.kind = 'rationalisation') AS rationalised
        FROM candidates AS c JOIN checkpoints AS t USING (loop, checkpoint_id)
        WHERE c.round = $round AND t.role = 'teacher'"""
    for row in rows:
        counted = query(lake, own, {"round": row["round"]}).row(0, named=True)
        assert (row["read_tokens"], row["written_tokens"]) == (counted["read"], counted["written"])
        assert (row["texts"], row["rationalised"]) == (counted["texts"], counted["rationalised"])
        assert row["rationalised"] > 0
        assert row["kept"] == read(lake, "snapshots", {"round": row["round"]})["rows"].item()
        assert row["tokens_a_kept"] == pytest.approx(row["tokens"] / row["kept"])
        assert (row["tokens_a_point"] is None) == (row["points"] is None or row["points"] <= 0)


def test_a_students_trace_names_its_teacher_and_where_it_comes_from(
    undisturbed: Callable[[str], Lake],
) -> None:
    lake = undisturbed("distillation")
    trained = read(lake, "checkpoints").filter(pl.col("training_id").is_not_null()).sort("round")
    *generations, base = trace(lake, trained["checkpoint_id"][-1])["generations"]
    for one in generations:
        (guest,) = one["guests"]
        assert guest["role"] == "teacher"
        assert json.loads(guest["origin"])["named"] == str(SEEDED_READER)
        wrote = {writer["checkpoint_id"] for writer in one["writers"]}
        assert wrote == {guest["checkpoint_id"]}
    assert base["guests"] == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (("teacher.loop=other",), "a teacher is a model's folder or another loop's champion, not both"),
        (("teacher.model=null", "teacher.lake=/x"), "lake and checkpoint go with loop"),
        (("keep=unfiltered",), "rationalising.samples goes with keep=verified"),
        (("rationalising.template=Say it",), "a template has {question} and {answer} once each"),
        (("explaining.system_messages=nobody",), "no systemmessages is called 'nobody'"),
        (("teacher.budget.money=3",), "needs input_price or output_price"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_one_line(settings: tuple[str, ...], line: str) -> None:
    with pytest.raises(RecipeError, match=line.replace("{", r"\{").replace("}", r"\}")) as refused:
        recipe(*settings)
    assert "\n" not in str(refused.value)


def test_a_teacher_that_is_not_there_is_refused_before_the_loop_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tutor, "TEACHER", tmp_path / "nothing")
    with pytest.raises(BadInput, match="is not built: `make teacher` builds it"):
        check_teacher(recipe("teacher.model=null"))
    with pytest.raises(ModelError, match="no model folder at /nowhere"):
        check_teacher(recipe("teacher.model=/nowhere"))


def test_the_sets_of_system_messages_that_come_along_can_be_read() -> None:
    own, tutors = chosen_messages("explained"), chosen_messages("tutor")
    assert len(set(own.messages)) == len(own.messages) >= 8
    assert tutors.messages == SYSTEM_MESSAGES
    assert own.label != tutors.label
