"""Promises of a lake in a bucket: faults of the store are survived or told in one line, and tell no key."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main
from schemas.errors import BadInput, LakeBusy, LakeError, RatchetError
from schemas.identity import base_id
from schemas.units import Unit
from tests.warehouse.s3 import KEY, SECRET, Fault, Server, client, free_port
from tests.warehouse.stores.test_writers import close, files_of, rows
from tutor import BASE
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.models.described import files_hash
from warehouse.models.kept import keep
from warehouse.models.tensors import weights_hash
from warehouse.query import query, read
from warehouse.seal import seal_rounds
from warehouse.snapshot import freeze, read_snapshot
from warehouse.store import lease
from warehouse.store.open import open_store
from warehouse.verify.lake import verify_lake

UNIT = Unit("many", 0, "admit")


@pytest.fixture
def log(address: str) -> Log:
    return Log(Lake.create(address))


def ids(log: Log) -> list[str]:
    return sorted(read(log.lake, "prompts")["prompt_id"])


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("what", [r"/part-", r"_delta_log/0{19}\d\.json", "heads/", "."])
def test_a_write_whose_reply_is_lost_lands_once(server: Server, log: Log, what: str, times: int) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    other = Unit("many", 0, "other")
    server.fault(Fault("PUT", what, "lose reply", times))
    assert log.once(other, "prompts", lambda: rows(other)).height == 3
    assert server.struck() == times, "the fault was never met"
    server.fault()
    assert len(ids(log)) == len(set(ids(log))) == 6
    assert verify_lake(Lake(log.lake.where)).items == []


def test_an_empty_units_lost_reply_is_found_out(server: Server, log: Log) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    empty = Unit("many", 0, "empty")
    server.fault(Fault("PUT", "_delta_log/0", "lose reply"))
    assert log.once(empty, "prompts", lambda: rows(empty, 0)).is_empty()
    assert server.struck() == 1
    delta = Lake(log.lake.where).open("prompts")
    assert delta is not None
    assert delta.version() == 2


def test_a_seal_whose_replies_are_lost_is_whole(server: Server, log: Log) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    close(log, 0)
    closed, compacted = r"prompts/_delta_log/0{19}2\.json", r"prompts/_delta_log/0{19}3\.json"
    seal_path, on_record = "seals/many", r"rounds/_delta_log/0{19}5\.json"
    server.fault(*(Fault("PUT", path, "lose reply") for path in (closed, compacted, seal_path, on_record)))
    assert [seal.round for seal in seal_rounds(log, "many")] == [0]
    assert server.struck() == 4, "a fault was never met"
    server.fault()
    assert verify_lake(Lake(log.lake.where)).items == []
    assert len(ids(Log(Lake(log.lake.where)))) == 3


def test_throttling_is_waited_out(server: Server, log: Log) -> None:
    units = [Unit("many", 0, "admit", shard) for shard in range(4)]
    server.fault(
        Fault("PUT", ".", "slow down", 5),
        Fault("GET", ".", "slow down", 5),
        Fault("HEAD", ".", "slow down", 3),
    )
    for unit in units:
        assert log.once(unit, "prompts", lambda unit=unit: rows(unit)).height == 3  # type: ignore[misc]
    assert log.lake.store.entry("lake.json") is not None
    assert server.struck() >= 11
    server.fault()
    assert len(ids(log)) == len(set(ids(log))) == 12


def test_reads_whose_replies_are_lost_are_asked_again(server: Server, log: Log) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    server.fault(Fault("GET", ".", "lose reply", 3))
    assert len(ids(Log(Lake(log.lake.where)))) == 3
    assert server.struck() == 3


def frozen(log: Log) -> str:
    """A snapshot of prompts with one kept candidate each."""
    prompts = log.once(UNIT, "prompts", lambda: rows(UNIT))
    names = [f"cand-00000-{n:024x}" for n in range(prompts.height)]
    answers = prompts.select("prompt_id", "split", text=pl.lit("#### 13")).with_columns(
        candidate_id=pl.Series(names), kind=pl.lit("answer"), sample_index=pl.lit(0)
    )
    log.once(Unit("many", 0, "generate"), "candidates", lambda: answers)
    chosen = Unit("many", 0, "filter")
    decided = answers.select("candidate_id", "prompt_id").with_columns(
        decision_id=pl.Series([f"dec-{n}" for n in range(prompts.height)]),
        filter=pl.lit("correct"),
        position=pl.lit(0),
        kept=pl.lit(True),
    )
    log.once(chosen, "decisions", lambda: decided)
    parameters = {"loop": "many", "round": 0, "units": [chosen.key]}
    return freeze(log, Unit("many", 0, "freeze"), "sft", [chosen.key], parameters)


def test_a_snapshot_freezes_in_the_bucket_and_reads_on_another_machine(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = frozen(log)
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "another machine's"))
    there = Lake(log.lake.where)
    folder = there.place(f"snapshots/{snapshot}")
    assert folder.is_relative_to(tmp_path / "another machine's")
    assert read_snapshot(folder, snapshot).height == 3
    assert query(there, "SELECT count(*) AS n FROM examples")["n"][0] == 3
    assert frozen(Log(there)) == snapshot


def test_a_table_in_a_bucket_is_plain_delta_for_others(server: Server, log: Log) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    ours = read(log.lake, "prompts")
    options = server.environment | {"AWS_ALLOW_HTTP": "true"}
    theirs = pl.scan_delta(f"{log.lake.where}/tables/prompts", storage_options=options).collect()
    assert theirs.select(ours.columns).cast(ours.schema).sort("prompt_id").equals(ours.sort("prompt_id"))  # type: ignore[arg-type]


def test_a_fetched_file_that_is_not_what_was_written_is_refused(log: Log) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    (name,) = files_of(log.lake)
    data = bytearray(log.lake.store.get(name))
    data[40] ^= 1
    log.lake.store.replace(name, bytes(data))
    with pytest.raises(RatchetError, match="is not the file that was written"):
        read(log.lake, "prompts")


def test_an_address_that_is_none_is_refused() -> None:
    for address in ("s3://UPPER/x", "s3://", "gs://bucket/x", "http://host/bucket", "s3://b/x"):
        with pytest.raises(BadInput, match="s3://bucket/prefix"):
            open_store(address)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


COMMANDS: list[list[str]] = [["status"], ["verify"], ["run", "rft"]]


def refused(address: str, arguments: list[str]) -> str:
    """The one line by which a command refuses, which tells no key."""
    result = CliRunner().invoke(main, [*arguments, "--lake", address])
    stderr: str = result.stderr.strip()
    assert result.exit_code in (1, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert stderr.startswith("ratchet: ")
    assert "\n" not in stderr
    assert len(stderr) < 500
    assert SECRET not in stderr
    assert KEY not in stderr
    return stderr


@pytest.mark.parametrize("arguments", COMMANDS[:2])
def test_a_wrong_key_is_one_line(
    address: str, log: Log, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-WRONG-AND-STILL-PRIVATE")
    message = refused(address, arguments)
    assert "refused" in message or "InvalidAccessKeyId" in message
    assert "AKIA-WRONG" not in message


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_missing_bucket_is_one_line(server: Server, arguments: list[str]) -> None:
    assert "NoSuchBucket" in refused("s3://no-such-bucket/lake", arguments)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_an_endpoint_that_is_dead_is_one_line_in_seconds(
    address: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    start = time.monotonic()
    assert "does not answer" in refused(address, arguments)
    assert time.monotonic() - start < 30


def test_an_endpoint_that_says_nothing_is_given_up(
    address: str, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.store.bucket.ANSWER", 1)
    monkeypatch.setattr("warehouse.store.bucket.PATIENCE", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    assert "does not answer" in refused(address, ["status"])


@pytest.mark.parametrize("when", ["read", "append", "seal"])
def test_a_store_that_goes_away_or_forgets_the_keys_is_one_line(
    log: Log, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    log.once(UNIT, "prompts", lambda: rows(UNIT))
    close(log, 0)
    other = Unit("many", 1, "other")
    acts: dict[str, Callable[[], object]] = {
        "read": lambda: read(log.lake, "prompts"),
        "append": lambda: log.once(other, "prompts", lambda: rows(other)),
        "seal": lambda: seal_rounds(log, "many"),
    }
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIA-WRONG-AND-STILL-PRIVATE"),
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}"),
    ):
        monkeypatch.setenv(name, value)  # what Delta reads anew; our own store has what it was opened with
        with pytest.raises(RatchetError) as refusal:
            acts[when]()
        assert "\n" not in str(refusal.value)
        assert "AKIA-WRONG" not in str(refusal.value)
        assert SECRET not in str(refusal.value)


def test_no_key_is_written_into_the_lake_or_the_cache(server: Server, log: Log, tmp_path: Path) -> None:
    frozen(log)
    s3 = client(server)
    bucket = log.lake.where.split("/")[2]
    names = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(names) > 15
    contents = [s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names]
    contents += [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    for secret in (KEY.encode(), SECRET.encode()):
        assert not [name for name in names if secret in name.encode()]
        assert not any(secret in content for content in contents)


def test_a_lease_that_is_renewed_is_kept_and_one_that_lapsed_is_taken(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS", 2.0)
    store, other = log.lake.store, open_store(log.lake.where)
    with store.exclusive("night", wait=False):
        time.sleep(3)
        with pytest.raises(LakeBusy), other.exclusive("night", wait=False):
            pass
    stale_lease = {"holder": "process 1 on a host that went down", "token": "x", "seconds": 2.0}
    store.replace("locks/night.json", json.dumps(stale_lease).encode())
    with pytest.raises(LakeBusy, match="a host that went down"), other.exclusive("night", wait=False):
        pass
    time.sleep(3.5)
    with other.exclusive("night", wait=False):
        pass


def test_a_lease_outlives_a_lost_reply_and_a_store_that_is_away_at_its_end(
    server: Server, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = log.lake.store
    server.fault(Fault("PUT", "locks/", "lose reply", 1))
    with store.exclusive("night", wait=False):
        assert server.struck() == 1
        with pytest.raises(LakeBusy), open_store(log.lake.where).exclusive("night", wait=False):
            pass
        server.fault(Fault("PUT", "locks/", "lose reply", 1))
    assert server.struck() == 1
    with store.exclusive("night", wait=False):
        monkeypatch.setattr("warehouse.store.bucket.PATIENCE", 0)
        server.fault(Fault("PUT", "locks/", "slow down", 100))
    server.fault()
    with pytest.raises(LakeError), open_store(log.lake.where).exclusive("night", wait=False):
        pass  # it was not released, and has not lapsed yet


def test_a_loop_goes_on_from_its_own_model_where_the_lake_was_copied_to_another_prefix(
    server: Server, log: Log
) -> None:
    hashes = weights_hash(BASE), files_hash(BASE)
    row = {"checkpoint_id": base_id("many", *hashes), "content_hash": hashes[0], "files_hash": hashes[1]}
    row |= {"role": "policy", "path": keep(log.lake, BASE, *hashes)}
    log.once(Unit("many", 0, "base"), "checkpoints", lambda: pl.DataFrame([row]))
    store, bucket = client(server), log.lake.where.split("/")[2]
    prefix = log.lake.where.split("/", 3)[3]
    for one in store.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        other = one["Key"].replace(prefix, "elsewhere", 1)
        store.copy_object(Bucket=bucket, Key=other, CopySource={"Bucket": bucket, "Key": one["Key"]})
        store.delete_object(Bucket=bucket, Key=one["Key"])
    moved = Lake(f"s3://{bucket}/elsewhere")
    state = fold(moved, "many")
    assert state is not None
    assert state.base.folder.is_relative_to(moved.root)
    assert (weights_hash(state.base.folder), files_hash(state.base.folder)) == hashes
    assert verify_lake(moved, deep=True).items == []
