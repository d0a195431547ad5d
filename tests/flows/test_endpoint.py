"""Promises of a round whose answers come from an endpoint: nothing paid for is lost, failures are facts."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from flows.recipes.rooms import parse_recipe
from flows.round.progress import Lines
from flows.writers.recording import Recorded
from schemas.engine import Endpoint
from schemas.errors import BudgetSpent, EndpointError, EndpointRefused
from schemas.recipes.rft import Rft
from tasks.generate.candidates import candidate_rows
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.served.endpoint import api_key, check_endpoint
from tasks.generate.served.served import ServedEngine
from tests.commands import ratchet
from tests.flows.conftest import small_night
from tests.serving.peer import ById, Peer, changed, status
from tests.serving.round import KEY, SAMPLING, TEACHER, UNIT, shard, write
from tutor import BASE
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake


@pytest.fixture(scope="module")
def behind() -> ById:
    return ById(BASE, device="cpu")


@pytest.fixture
def peer(behind: ById) -> Iterator[Peer]:
    server = Peer(behind, key=KEY).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def in_house(behind: ById) -> pl.DataFrame:
    """What the embedded engine writes for the shard."""
    with EmbeddedEngine(BASE, device="cpu") as engine:
        return candidate_rows(
            engine, shard().sort("prompt_id"), SAMPLING, checkpoint_id=TEACHER, round_number=0, seed=5
        ).sort("candidate_id")


def endpoint(peer: Peer, **more: object) -> Endpoint:
    return Endpoint.model_validate({"url": peer.url, "model": "tutor", "in_flight": 2, "retries": 2} | more)


def seeds_of(asked: list[dict[str, object]]) -> set[object]:
    return {body["seed"] for body in asked}


def test_killed_at_any_point_it_asks_for_nothing_that_is_on_record(
    peer: Peer, in_house: pl.DataFrame, tmp_path: Path, plain: dict[str, str]
) -> None:
    lake, engine, peer.pause = Lake.create(tmp_path / "lake"), endpoint(peer), 0.08
    seeds_on_record: set[object] = set()
    for fault in ("append requests: committed#2", "request: finished#4"):
        arguments = (str(lake.root), engine.model_dump_json())
        killed = ratchet(*arguments, environment=plain, fault=fault, program="tests.serving.round:main")
        assert killed.returncode == -signal.SIGKILL, (fault, killed.stderr)
        assert not seeds_on_record & seeds_of(peer.asked), "what was on record has been asked for again"
        seeds_on_record = set(read(lake, "requests")["seed"])
        peer.asked.clear()
    assert len(seeds_on_record) > 5
    rows = write(lake, engine)
    assert not seeds_on_record & seeds_of(peer.asked)
    columns = ("candidate_id", "text", "finish_reason", "token_count", "seed")
    assert rows.select(columns).equals(in_house.select(columns))
    again = write(lake, engine)
    assert again.equals(rows)
    requests = read(lake, "requests")
    assert requests.height == 40
    assert set(requests["state"]) == {"finished"}
    assert verify_lake(lake, deep=True).clean


def test_a_request_that_failed_for_good_is_a_fact_and_never_a_candidate(peer: Peer, tmp_path: Path) -> None:
    lake, poisoned = Lake.create(tmp_path / "lake"), shard()["text"][3]
    peer.poison = {json.dumps(poisoned)[1:40]: status(422, "no")}
    rows = write(lake, endpoint(peer))
    ids = shard()["prompt_id"]
    assert rows.height == 38
    assert ids[3] not in set(rows["prompt_id"])
    assert rows["text"].null_count() == 0
    failed = read(lake, "requests").filter(pl.col("state") == "failed").to_dicts()
    assert [(one["prompt_id"], one["status"], one["error"], one["texts"]) for one in failed] == [
        (ids[3], 422, "HTTP 422: no", [])
    ] * 2
    peer.asked.clear()
    assert write(lake, endpoint(peer)).equals(rows)
    assert peer.asked == []
    assert verify_lake(lake, deep=True).clean


def test_a_server_that_numbers_its_choices_oddly_fails_its_request_and_not_the_round(
    peer: Peer, tmp_path: Path
) -> None:
    """Answers to the first prompt lack their first choice, whatever is asked."""
    lake, odd = Lake.create(tmp_path / "lake"), shard()["text"][0]
    peer.offers = {"owned_by": "vllm", "max_model_len": 256}
    last = changed(lambda body: body | {"choices": [body["choices"][-1] | {"index": 1}]})
    peer.poison = {json.dumps(odd)[1:40]: last}
    rows = write(lake, endpoint(peer))
    assert rows.height == 38
    failed = read(lake, "requests").filter(pl.col("state") == "failed")
    assert failed["error"].to_list() == ["the answer's choices are not numbered from 0 on"]
    peer.asked.clear()
    assert write(lake, endpoint(peer)).equals(rows)
    assert peer.asked == []


def test_a_key_that_a_server_echoes_stays_off_the_record(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, echoed = Lake.create(tmp_path / "lake"), shard()["text"][0]
    ended = changed(lambda body: {"choices": [body["choices"][0] | {"finish_reason": KEY}]})
    peer.poison = {json.dumps(echoed)[1:40]: ended}
    assert write(lake, endpoint(peer)).height == 38
    errors = read(lake, "requests")["error"].drop_nulls()
    assert sorted(errors) == ["sample 0: it ended by '(key)'", "sample 1: it ended by '(key)'"]
    peer.model = f"tutor {KEY}"
    with pytest.raises(EndpointRefused, match=r"there is: tutor \(key\)"):
        check_endpoint(endpoint(peer), KEY)
    assert KEY not in "".join(capsys.readouterr())
    for file in lake.root.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_a_budget_counts_what_is_on_record_and_a_larger_one_goes_on(peer: Peer, tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    for tokens in (1000, 1000, 1600):
        with pytest.raises(BudgetSpent):
            write(lake, endpoint(peer, budget={"tokens": tokens}))
        assert peer.tokens == read(lake, "requests")["tokens"].sum() <= tokens
    assert peer.tokens > 1000
    assert write(lake, endpoint(peer)).height == 40
    assert max(peer.answered.values()) == 1, "nothing was asked for twice"


def test_the_budgets_of_two_endpoints_are_apart_and_each_is_told_by_its_own_name(
    peer: Peer, tmp_path: Path
) -> None:
    lake = Lake.create(tmp_path / "lake")
    write(lake, endpoint(peer))
    taken = read(lake, "requests")["tokens"].sum()
    other, texts = "ckpt-00000-" + "1" * 24, shard(1)["text"].to_list()
    served = ServedEngine(endpoint(peer, budget={"tokens": taken}), KEY)
    judge = Recorded(Log(lake), served, UNIT, other, {}, "verification.judge.endpoint")
    assert len(judge.generate(texts, SAMPLING, [0])[0]) == 2, "the other endpoint has spent nothing of it"
    small = ServedEngine(endpoint(peer, budget={"tokens": 10}), KEY)
    judge = Recorded(Log(lake), small, UNIT, other, {}, "verification.judge.endpoint")
    with pytest.raises(BudgetSpent, match=r"larger verification\.judge\.endpoint\.budget\.tokens"):
        judge.generate(texts, SAMPLING, [99])


def test_an_endpoint_that_gives_out_leaves_what_it_answered_on_record(peer: Peer, tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    peer.faults = [None] * 8 + [status(503)] * 200  # type: ignore[list-item]
    with pytest.raises(EndpointError, match="503"):
        write(lake, endpoint(peer, retries=0))
    states = dict(read(lake, "requests")["state"].value_counts().iter_rows())
    assert states.keys() == {"finished", "unanswered"}
    assert states["finished"] == 8
    peer.faults.clear()
    assert write(lake, endpoint(peer)).height == 40
    assert max(peer.answered.values()) == 1
    assert verify_lake(lake, deep=True).clean


def test_a_whole_night_by_an_endpoint_is_that_of_the_same_model_in_process(
    peer: Peer, tmp_path: Path, plain: dict[str, str]
) -> None:
    """Killed on the way; the key is in no file and no line."""
    root, environment = tmp_path / "lake", plain | {"RATCHET_API_KEY": KEY}
    judge = {"kind": "endpoint", "url": peer.url, "model": "tutor", "in_flight": 4}
    arguments = [*small_night(root, 1), "--endpoint", peer.url, "--endpoint-model", "tutor"]
    arguments += ["--set", "verification.judge.share=0.1", "--set", f"verification.judge.endpoint={judge}"]
    killed = ratchet(*arguments, environment=environment, fault="request: finished#40")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    result = ratchet(*arguments, environment=environment)
    assert result.returncode == 0, result.stderr
    lake = Lake(root)
    (teacher,) = query(lake, "SELECT * FROM checkpoints WHERE role = 'teacher'").to_dicts()
    assert teacher["path"] == peer.url
    answers = query(
        lake, "SELECT * FROM candidates WHERE split = 'train' AND kind = 'answer' ORDER BY candidate_id"
    )
    assert set(answers["checkpoint_id"]) == {teacher["checkpoint_id"]}
    recipe = parse_recipe(json.loads(read(lake, "rounds")["recipe_values"][0]))
    with EmbeddedEngine(BASE, device="cpu") as engine:
        prompts = read(lake, "prompts").filter(pl.col("split") == "train")
        expected = candidate_rows(
            engine,
            prompts,
            recipe.sampling,
            checkpoint_id=teacher["checkpoint_id"],
            round_number=0,
            seed=recipe.seed,
        ).sort("candidate_id")
    assert answers.select("candidate_id", "text").equals(expected.select("candidate_id", "text"))
    judged = query(lake, "SELECT count(*) AS n FROM candidates WHERE kind = 'judgement'")
    assert judged["n"][0] > 0
    assert verify_lake(lake, deep=True).clean
    for file in root.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert KEY not in killed.stdout + killed.stderr + result.stdout + result.stderr


def refused(lake: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["run", "rft", "--lake", str(lake), *arguments])
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    stderr = result.stderr.strip()
    assert stderr.startswith("ratchet: ")
    assert "\n" not in stderr
    assert KEY not in stderr
    assert not lake.exists()
    return result


@pytest.mark.parametrize(
    ("key", "more", "words"),
    [
        ("sk-wrong", [], "refuses the key"),
        (None, [], "set RATCHET_API_KEY"),
        (KEY + "\x07", [], "RATCHET_API_KEY holds signs that no key has"),
        (KEY, ["--set", "engine.key_variable=SURELY_NOT_SET"], "key_variable of http://127.0.0.1"),
        (KEY, ["--set", "engine.key_variable=sk-hunter2"], "engine.endpoint.key_variable"),
        (KEY, ["--endpoint-model", "gpt"], "has no model 'gpt'; there is: tutor"),
        (KEY, ["--endpoint", "http://127.0.0.1:1"], "does not answer: no connection"),
        (KEY, ["--endpoint", "http://me:hunter2@127.0.0.1/v1"], "the key comes from RATCHET_API_KEY"),
        (KEY, ["--endpoint", "ftp://127.0.0.1/v1"], "a URL such as"),
        (KEY, ["--endpoint", "http://127.0.0.1/v1?key=x"], "no query"),
        (KEY, ["--set", "engine.in_flight=0"], "engine.endpoint.in_flight"),
        (KEY, ["--set", "engine.budget.money=1"], "needs input_price"),
        (KEY, ["--set", "engine.kind=oracle"], "oracle"),
        (KEY, ["--set", "pool_checkpoints=2"], "pool_checkpoints must be 1"),
        (KEY, ["--set", "engine.tokenizer=/nowhere", "--set", "engine.api=completions"], "no model folder"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_refused_before_anything_is_written(
    peer: Peer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    more: list[str],
    words: str,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key is None:
        monkeypatch.delenv("RATCHET_API_KEY", raising=False)
    else:
        monkeypatch.setenv("RATCHET_API_KEY", key)
    options = ["--endpoint", peer.url, "--endpoint-model", "tutor", *more]
    stderr = refused(tmp_path / "lake", *options).stderr
    assert words in stderr
    assert "hunter2" not in stderr


def test_an_endpoint_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "--endpoint-model NAME" in refused(tmp_path / "lake", "--endpoint", "http://localhost:1").stderr


def test_the_openai_key_goes_to_openai_and_to_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RATCHET_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    mine = ("https://api.openai.com/v1", "http://127.0.0.1:8000", "http://[::1]:8000")
    others = ("https://api.example.com", "http://api.openai.com", "https://api.openai.com.example.com")
    assert {api_key(Endpoint(url=url, model="m")) for url in mine} == {KEY}
    assert {api_key(Endpoint(url=url, model="m")) for url in others} == {None}
    monkeypatch.setenv("RATCHET_API_KEY", "sk-own")
    assert api_key(Endpoint(url="http://api.example.com", model="m")) == "sk-own"


def test_an_endpoint_that_names_its_keys_variable_gets_that_key_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RATCHET_API_KEY", "OPENAI_API_KEY", "JUDGE_KEY"):
        monkeypatch.setenv(name, f"sk-{name}")
    named = Endpoint(url="https://b.example.com", model="m", key_variable="JUDGE_KEY")
    assert api_key(named) == "sk-JUDGE_KEY"
    assert Rft(engine=named).hash == Rft(engine=named.model_copy(update={"key_variable": None})).hash
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(EndpointRefused, match="names no variable that holds a key"):
        api_key(named)


def test_how_hard_an_endpoint_is_asked_is_no_part_of_what_a_round_does() -> None:
    before = Rft(engine=Endpoint(url="http://localhost:1", model="m"))
    pressed = before.model_copy(update={"engine": Endpoint(url="http://localhost:1", model="m", in_flight=9)})
    assert before.hash == pressed.hash
    assert before.with_effort_of(pressed) == pressed
    other = Rft(engine=Endpoint(url="http://localhost:1", model="n", in_flight=9))
    assert other.hash != before.hash
    assert before.with_effort_of(other) == pressed
    assert before.with_effort_of(Rft()) == before


def test_a_resumed_round_goes_by_the_commands_accelerate_configuration() -> None:
    before, now = Rft(accelerate_config="one.yaml"), Rft(accelerate_config="two.yaml")
    assert before.hash == now.hash == Rft().hash
    assert before.with_effort_of(now) == now
    assert before.with_effort_of(Rft()) == Rft()
    in_process = Rft(launcher="in-process")
    assert before.with_effort_of(in_process) == before
    assert in_process.with_effort_of(now) == in_process


def test_a_loop_from_before_there_were_engines_keeps_its_recipes_hash() -> None:
    values = Rft(cap=2).model_dump(mode="json")
    del values["engine"], values["verification"]["judge"]["endpoint"]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert Rft(cap=2).hash == hashlib.sha256(canonical.encode()).hexdigest()[:12]
    assert parse_recipe(values) == Rft(cap=2)


def test_the_time_left_is_told_by_what_was_done_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Lines, "EVERY", 0.0)
    advance = Lines().begin("generate", 100, "answers")
    advance(80, held=True)
    time.sleep(0.5)
    capsys.readouterr()
    advance(1)
    stderr = capsys.readouterr().err
    assert "81 of 100" in stderr
    remaining = float(stderr.split("about ")[1].split()[0])
    assert 9 <= remaining < 60, "19 are left at half a second each"
