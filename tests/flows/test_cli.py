"""Promises of the command line: help and JSON everywhere, bad input in one line with nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.request import proxy_bypass

import pytest
from click.testing import CliRunner, Result

import tutor
from flows.cli import COMMANDS, main
from flows.commands.environment import prepare
from schemas.recipes.parsing import load_recipe
from tests.conftest import REPOSITORY

WITHOUT_A_LAKE = {"grade", "calibrate", "check"}
"""They read JSONL and open no lake; what `grade` prints is JSON whatever is asked."""


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_json_and_a_lake(command: str) -> None:
    result = ask(command, "--help")
    assert result.exit_code == 0
    assert ("--json" in result.output) != (command == "grade")
    assert ("--lake" in result.output) != (command in WITHOUT_A_LAKE)
    assert ("RATCHET_LAKE" in result.output) != (command in WITHOUT_A_LAKE)
    assert len(result.output.splitlines()[2].strip()) > 20, "what it does, in a sentence"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_shows_every_command(command: str) -> None:
    assert f"ratchet {command}" in (REPOSITORY / "README.md").read_text("utf-8")


EACH = "{% for m in messages %}"
TEMPLATES = {
    "user refused": EACH
    + "{% if m.role == 'user' %}{{ raise_exception('no users') }}{% endif %}{% endfor %}",
    "user left out": EACH + "{% if m.role == 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
    "answer refused": EACH + "{% if m.role != 'user' %}{{ raise_exception('only users') }}{% endif %}"
    "{{ m.content }}{% endfor %}",
    "answer left out": EACH + "{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
    "a template that breaks": "{{ messages | sum }}",
}
"""Chat templates without a role that a round needs."""


def bad_model(folder: Path, kind: str) -> str:
    """A model folder that cannot be used."""
    shutil.copytree(tutor.BASE, folder)
    weights = folder / "model.safetensors"
    if kind == "pickled":
        weights.rename(folder / "pytorch_model.bin")
    elif kind == "without weights":
        weights.unlink()
    elif kind == "torn":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif kind == "with code":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}))
    elif kind == "tokenizer with code":
        described = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(described | {"auto_map": {"x": "x.Y"}}))
    elif kind in TEMPLATES:
        (folder / "chat_template.jinja").write_text(TEMPLATES[kind])
    elif kind == "without tokenizer":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    elif kind == "torn config":
        (folder / "config.json").write_text("{")
    return str(folder)


GOOD = '{"question": "1+1?", "answer": "#### 2"}'


def lines(path: Path, *texts: str) -> str:
    path.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass"))
    return str(path)


def refused(result: Result, *words: str) -> None:
    """One line on standard error, a non-zero exit and no traceback."""
    assert result.exit_code != 0, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    stderr = result.stderr.strip()
    assert stderr.startswith("ratchet: ")
    assert "\n" not in stderr
    for word in words:
        assert word in stderr


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((), ["holds no prompt"]),
        (("", "  "), ["holds no prompt"]),
        ((GOOD, "{"), ["line 2", "not JSON"]),
        ((GOOD, "", "[1]"), ["line 3", "an object is needed"]),
        (('{"answer": "1"}',), ["line 1", "'question'"]),
        (('{"question": "x"}',), ["line 1", "'answer'"]),
        (('{"question": 3, "answer": "1"}',), ["line 1", "'question' must be a text"]),
        (('{"question": " ", "answer": "1"}',), ["line 1", "not empty"]),
        ((r'{"question": "\ud800", "answer": "1"}',), ["line 1", "not valid Unicode"]),
        (('{"question": "x", "answer": "1", "difficulty": "hard"}',), ["line 1", "'difficulty' must be int"]),
        (("[" * 100_000,), ["line 1", "not JSON"]),
        ((GOOD,), ["too few prompts"]),
    ],
)
def test_a_bad_prompt_file_is_refused_with_its_line(
    tmp_path: Path, texts: tuple[str, ...], words: list[str]
) -> None:
    file = lines(tmp_path / "prompts.jsonl", *texts)
    refused(ask("run", "rft", "--lake", str(tmp_path / "lake"), "--prompts", file), file, *words)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pickled", ["pickled"]),
        ("without weights", ["no weights"]),
        ("torn", ["safetensors"]),
        ("with code", ["its own code"]),
        ("tokenizer with code", ["its own code", "tokenizer_config.json"]),
        ("user refused", ["chat template refuses a message by user", "no users"]),
        ("user left out", ["chat template leaves out what a message by user says"]),
        ("answer refused", ["chat template refuses a message by user and assistant", "only users"]),
        ("answer left out", ["chat template leaves out what a message by assistant says"]),
        ("a template that breaks", ["chat template refuses a message by user"]),
        ("without tokenizer", ["no tokenizer"]),
        ("torn config", ["does not parse"]),
    ],
)
def test_a_model_folder_that_is_not_safe_and_whole_is_refused(
    tmp_path: Path, kind: str, words: list[str]
) -> None:
    folder = bad_model(tmp_path / "model", kind)
    refused(ask("run", "rft", "--lake", str(tmp_path / "lake"), "--model", folder), folder, *words)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "rft", "--prompts", "nowhere.jsonl"], ["nowhere.jsonl", "No such file"]),
        (["run", "rft", "--model", "nowhere"], ["no model folder"]),
        (["run", "dpo"], ["no recipe named 'dpo'", "rft"]),
        (["run", "nowhere.yaml"], ["nowhere.yaml", "No such file"]),
        (
            ["run", "rft", "--set", "sampling.heat=1"],
            ["what was given with the recipe: unknown key sampling.heat"],
        ),
        (["run", "rft", "--set", "sampling.samples=none"], ["sampling.samples"]),
        (["run", "rft", "--set", "cap"], ["KEY=VALUE"]),
        (["run", "rft", "--set", "cap.x=1"], ["cap is a single value"]),
        (["run", "rft", "--loop", "../x"], ["a loop's name"]),
        (["status"], ["no lake at"]),
        (["sql", "SELECT 1"], ["no lake at"]),
        (["trace", "ckpt-00000-000000000000000000000000"], ["no lake at"]),
    ],
)
def test_bad_arguments_are_refused_and_no_lake_is_made(
    tmp_path: Path, arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(ask(*arguments, "--lake", str(tmp_path / "lake")), *words)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_recipe_key_in_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: rft\ntraining:\n  epoch: 3\n")
    refused(
        ask("run", str(file), "--lake", str(tmp_path / "lake")), "mine.yaml", "unknown key training.epoch"
    )
    file.write_text("recipe: [")
    refused(ask("run", str(file), "--lake", str(tmp_path / "lake")), "does not parse")
    file.write_text("- rft")
    refused(ask("run", str(file), "--lake", str(tmp_path / "lake")), "keys and values")
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("command", [["run", "rft"], ["status"], ["sql"], ["trace", "ckpt-1"]])
def test_a_lake_of_another_schema_version_is_refused(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "lake.json").write_text('{"format": 2}')
    refused(ask(*command, "--lake", str(tmp_path)), "schema version 2")
    assert [path.name for path in tmp_path.iterdir()] == ["lake.json"]


def test_an_id_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text('{"format": 1}')
    lake = ("--lake", str(tmp_path))
    refused(ask("trace", "hello", *lake), "begins no id")
    refused(ask("trace", "cand-00001-000000000000000000000000", *lake), "holds no cand-00001")
    refused(ask("status", *lake), "no loop has a round")
    refused(ask("sql", "DROP TABLE prompts", *lake), "only SELECT")


def test_sql_without_a_query_says_what_there_is_to_ask(tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text('{"format": 1}')
    offered = json.loads(ask("sql", "--json", "--lake", str(tmp_path)).output)
    assert {"funnel", "distinct_paths", "acceptance", "accuracy", "examples_of_checkpoint", "candidates"} <= {
        row["name"] for row in offered
    }


def test_the_nightly_deployment_carries_the_tutors_recipe() -> None:
    deployment = load_recipe(REPOSITORY / "prefect.yaml")["deployments"][0]
    assert deployment["parameters"]["recipe"] == load_recipe(tutor.RECIPES / "rft.yaml")


@pytest.mark.parametrize("given", ["", "intranet.example", "localhost,intranet.example", "*"])
def test_this_machine_is_never_reached_through_a_proxy(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect's server and vLLM answer on loopback, whatever proxy the environment names."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, given)
    monkeypatch.setattr("flows.commands.environment.SETTINGS", {})
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    prepare()
    assert all(proxy_bypass(host) for host in ("localhost", "127.0.0.1"))
    assert bool(proxy_bypass("intranet.example")) == (given != "")
    assert not proxy_bypass("elsewhere.example") or given == "*"
