"""Promises of every store: what a lake relies on holds in a folder and in a bucket alike."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.errors import LakeBusy
from tests.warehouse.processes import process
from warehouse.store.face import Store
from warehouse.store.open import open_store


def test_a_new_file_is_there_to_the_byte_and_its_name_is_taken(store: Store) -> None:
    store.put_new("a/b.bin", memoryview(b"\x00first"))
    with pytest.raises(FileExistsError):
        store.put_new("a/b.bin", b"second")
    with pytest.raises(FileExistsError):
        store.put_new("a/b.bin", b"\x00first")
    assert store.get("a/b.bin") == b"\x00first"
    assert store.digest("a/b.bin") == hashlib.sha256(b"\x00first").hexdigest()


def test_a_local_file_becomes_a_new_one_and_is_used_up(store: Store) -> None:
    spare = store.home / "spare"
    spare.mkdir(parents=True)
    (spare / ".part").write_bytes(b"rows")
    store.put_file("tables/x.parquet", spare / ".part")
    assert store.get("tables/x.parquet") == b"rows"
    assert not (spare / ".part").exists()
    (spare / ".part").write_bytes(b"others")
    with pytest.raises(FileExistsError):
        store.put_file("tables/x.parquet", spare / ".part")
    assert store.get("tables/x.parquet") == b"rows"


def test_replacing_leaves_the_new_bytes_and_nothing_else(store: Store) -> None:
    for text in (b"old", b"a longer new one", b""):
        store.replace("heads/t.json", text)
        store.note("heads/u.json", text)
        assert store.get("heads/t.json") == store.get("heads/u.json") == text
    assert [entry.name for entry in store.entries("")] == ["heads/t.json", "heads/u.json"]


def test_what_is_not_there_is_said_to_be_missing(store: Store) -> None:
    for ask in (store.get, store.digest):
        with pytest.raises(FileNotFoundError):
            ask("nothing/here.json")
    assert store.entry("nothing/here.json") is None
    assert store.entries("nothing") == []
    assert store.numbered("nothing", 0) == []
    store.delete("nothing/here.json")
    store.settle(["nothing/here.json"])


def test_entries_are_those_below_a_folder_in_order_with_size_and_time(store: Store) -> None:
    before = store.now()
    for name in ("t/b/2.txt", "t/a.txt", "t/b/1.txt", "tt/other.txt"):
        store.put_new(name, name.encode())
    entries = store.entries("t")
    assert [entry.name for entry in entries] == ["t/a.txt", "t/b/1.txt", "t/b/2.txt"]
    assert [entry.size for entry in entries] == [7, 9, 9]
    assert [entry.name for entry in store.entries("")][-1] == "tt/other.txt"
    assert all(before - 2 <= entry.modified <= store.now() + 2 for entry in entries)
    assert store.entry("t/a.txt") == entries[0]
    assert store.entry("t") is None, "a folder is nothing that is stored"


def test_log_entries_are_counted_from_a_number_past_one_gap(store: Store) -> None:
    for number in (0, 1, 2, 4):
        store.put_new(f"log/{number:020d}.json", b"{}")
    store.put_new(f"log/{2:020d}.checkpoint.parquet", b"")
    store.put_new("log/_last_checkpoint", b"{}")

    def numbers(first: int) -> list[int]:
        return [int(Path(entry.name).name[:20]) for entry in store.numbered("log", first)]

    assert numbers(0) == [0, 1, 2, 4]
    assert numbers(2) == [2, 4]
    assert numbers(5) == []


def test_a_deleted_file_is_gone_here_and_there(store: Store) -> None:
    store.put_new("t/a.txt", b"x")
    (path,) = store.local(["t/a.txt"])
    store.delete("t/a.txt")
    assert store.entry("t/a.txt") is None
    assert not path.exists()


def test_local_paths_hold_the_bytes_in_the_order_asked(store: Store) -> None:
    names = [f"t/{number}.bin" for number in range(40)]
    for name in names:
        store.put_new(name, name.encode())
    for _ in range(2):
        assert [path.read_bytes() for path in store.local(names[::-1])] == [n.encode() for n in names[::-1]]
    with pytest.raises(FileNotFoundError):
        store.local(["t/none.bin"])[0].read_bytes()


def test_published_files_are_in_the_store_as_they_are_here_now(store: Store) -> None:
    folder = store.home / "trainings" / "one"
    folder.mkdir(parents=True)
    for text in (b"weights 1", b"weights 2"):  # of the same size
        (folder / "model").write_bytes(text)
        store.publish(["trainings/one/model"])
        assert store.digest("trainings/one/model") == hashlib.sha256(text).hexdigest()


def test_a_place_is_taken_when_something_lies_there(store: Store) -> None:
    assert not store.taken()
    store.put_new("notes.txt", b"mine")
    assert store.taken()


def test_a_lock_has_one_holder_who_is_named_and_can_be_had_again(store: Store, where: str) -> None:
    with store.exclusive("night", wait=False):
        with (
            pytest.raises(LakeBusy, match=f"process {os.getpid()}"),
            open_store(where).exclusive("night", wait=False),
        ):
            pass
        with open_store(where).exclusive("other", wait=False):
            pass
    with store.exclusive("night", wait=False):
        pass


def test_a_lock_is_free_again_when_its_block_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.exclusive("night", wait=False):
        _ = 1 // 0
    with store.exclusive("night", wait=False):
        pass


def _count(where: str, times: int) -> None:
    store = open_store(where)
    for _ in range(times):
        with store.exclusive("count", wait=True):
            number = int(store.get("count"))
            time.sleep(0.02)
            store.replace("count", str(number + 1).encode())


def test_of_many_who_wait_for_a_lock_each_has_it_alone(store: Store, where: str) -> None:
    store.replace("count", b"0")
    counters = [process(_count, where, 2) for _ in range(3)]
    for counter in counters:
        counter.start()
    for counter in counters:
        counter.join()
    assert store.get("count") == b"6"


HOLD = """
import sys, time
from warehouse.store.open import open_store
with open_store(sys.argv[1]).exclusive("night", wait=False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("seconds", [2.0, 60.0])
def test_a_killed_holders_lock_can_be_taken_at_once(store: Store, where: str, seconds: float) -> None:
    command = [
        sys.executable,
        "-c",
        f"import warehouse.store.lease as l; l.SECONDS = {seconds}\n" + HOLD,
        where,
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    time.sleep(3.5 if seconds < 3 else 0)
    with pytest.raises(LakeBusy), store.exclusive("night", wait=False):
        pass  # it is renewed, so it has not lapsed
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with store.exclusive("night", wait=False):
        pass
