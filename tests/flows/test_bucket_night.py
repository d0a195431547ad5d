"""A whole night into a bucket, read afterwards by a machine that has never seen it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.commands import ratchet
from tests.flows.conftest import small_night
from tests.warehouse.s3 import client, serving


def test_a_night_in_a_bucket_goes_on_after_a_kill_and_another_machine_reads_and_checks_it(
    tmp_path: Path, plain: dict[str, str]
) -> None:
    with serving(tmp_path / "s3.log") as server:
        lake = f"s3://{server.bucket()}/lakes/first"
        here = plain | server.environment | {"RATCHET_CACHE": str(tmp_path / "here")}
        there = plain | server.environment | {"RATCHET_CACHE": str(tmp_path / "there")}
        night = small_night(lake, rounds=1)
        killed = ratchet(*night, environment=here, fault="append decisions: file written")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        result = ratchet(*night, "--json", environment=here)
        assert result.returncode == 0, result.stderr
        (report,) = json.loads(result.stdout)
        assert report["verdict"] in {"promoted", "held"}

        def ask(*arguments: str) -> str:
            answer = ratchet(*arguments, "--lake", lake, environment=there)
            assert answer.returncode == 0, answer.stderr + answer.stdout
            return answer.stdout

        (round_status,) = json.loads(ask("status", "--json"))
        assert {key: round_status[key] for key in report} == report
        (counted,) = json.loads(
            ask("sql", "--json", "SELECT count(*) AS n FROM candidates WHERE split='train'")
        )
        assert counted["n"] == 24 * 4
        (made,) = json.loads(ask("sql", "--json", "SELECT * FROM checkpoints WHERE parent_id IS NOT NULL"))
        story = json.loads(ask("trace", "--json", made["checkpoint_id"]))
        assert len(story["generations"]) == 2
        checked = json.loads(ask("verify", "--deep", "--json"))
        assert checked["clean"], checked
        assert {finding["kind"] for finding in checked["findings"]} == {"leftover"}, (
            "the killed append's file"
        )
        assert checked["seals"]["night"]["round"] == 0
        weights = f"lakes/first/{made['path']}/model.safetensors"
        head = client(server).head_object(Bucket=lake.split("/")[2], Key=weights)
        assert head["ContentLength"] > 1_000_000
