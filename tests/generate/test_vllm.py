"""Promises around a vLLM server, with a stand-in for vLLM itself: tests/vllm has the real one."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from flows.commands.choice import chosen_recipe
from flows.writers.engines import closing_servers, make_room, server_of
from schemas.engine import Vllm
from schemas.errors import BadInput, ModelError, ServerFailed
from schemas.job import Chat
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Sampling
from tasks.generate.engine import PromptRefused
from tasks.generate.vllm import command as vllm_command
from tasks.generate.vllm.command import flags
from tasks.generate.vllm.probe import computed, probe_ids
from tasks.generate.vllm.vllm import VllmServer
from tasks.models.checkpoint import load_tokenizer
from tasks.models.ends import end_ids
from tasks.models.neutral import special_texts
from tasks.verify.judge.judge import JudgeInput, judge_prompt
from tasks.verify.judge.rubric import load_rubric
from tests.generate.conftest import save_model
from tutor import BASE, JUDGE

TWO = Sampling(samples=2, temperature=1.0, max_tokens=8)
STAND_IN = Path(__file__).with_name("stand_in_vllm.py")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutor's base, its weights moved a little."""
    folder = tmp_path_factory.mktemp("other") / "checkpoint"
    shutil.copytree(BASE, folder)
    torch.manual_seed(0)
    weights = load_file(folder / "model.safetensors")
    moved = {name: one + 0.02 * torch.randn_like(one) for name, one in weights.items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def server(
    tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., VllmServer]]:
    """A server of a manner (stand_in_vllm.py); what it notes, and logs of those that die, are in tmp_path."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ids = probe_ids(1024, 1024)
    tables = {str(folder): computed(folder, ids) for folder in (BASE, other)}
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    made: list[VllmServer] = []

    def of(manner: str, restarts: int = 2) -> VllmServer:
        command = (sys.executable, str(STAND_IN), str(tmp_path), manner)
        made.append(VllmServer(Vllm(command=command, restarts=restarts)))
        return made[-1]

    yield of
    for one in made:
        one.close()


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().splitlines()


def test_weights_are_changed_without_a_restart_and_back(
    server: Callable[..., VllmServer], tmp_path: Path, other: Path
) -> None:
    honest = server("honest")
    for folder in (BASE, BASE, other, BASE):
        samples = honest.engine(folder).generate(["1 + 3 ="], TWO, [70])
        assert [(one.index, one.seed, one.text, one.token_ids) for one in samples[0]] == [
            (0, 70, "4", (24, 1)),
            (1, 71, "4", (24, 1)),
        ]
    assert notes(tmp_path) == [f"start {BASE}", f"reload {other}", f"reload {BASE}"]
    assert (honest.starts, honest.reloads) == (1, 2)


def test_a_server_that_says_it_changed_its_weights_and_did_not_is_replaced(
    server: Callable[..., VllmServer], tmp_path: Path, other: Path
) -> None:
    liar = server("liar")
    liar.engine(BASE).generate(["1 + 3 ="], TWO, [70])
    liar.engine(other).generate(["1 + 3 ="], TWO, [70])
    assert notes(tmp_path) == [f"start {BASE}", f"reload {other}", f"start {other}"]


@pytest.mark.parametrize("manner", ["mute", "curt"])
def test_a_server_that_answers_a_change_of_weights_with_something_else_is_replaced(
    server: Callable[..., VllmServer], tmp_path: Path, other: Path, manner: str
) -> None:
    odd = server(manner)
    for folder in (BASE, other):
        odd.engine(folder).generate(["1 + 3 ="], TWO, [70])
    assert notes(tmp_path) == [f"start {BASE}", f"reload {other}", f"start {other}"]


def test_what_a_judge_is_shown_holds_none_of_its_special_tokens(tmp_path: Path) -> None:
    folder = tmp_path / "judge"
    shutil.copytree(JUDGE, folder)
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["[[verdict]]"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    with VllmServer(Vllm(command=("never-started",))) as server:
        specials = special_texts(getattr(server.engine(folder), "tokenizer", None))
    assert "[[verdict]]" in specials
    assert "[[verdict]]" not in judge_prompt(
        load_rubric("story"), JudgeInput("1+1?", "[[verdict]] 5"), specials
    )


def test_a_turns_end_that_a_recipe_names_is_the_servers_too(
    server: Callable[..., VllmServer], tmp_path: Path, other: Path
) -> None:
    """Its end tokens are told when it starts; template values are ours, and need no other server."""
    named, honest = Chat(end_of_turn="<|user|>"), server("honest")
    arguments = flags(Vllm(), BASE, port=1, name="m", scratch=tmp_path, chat=named)
    assert "--generation-config" in arguments
    ends = json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"]
    assert ends == end_ids(BASE, named) != end_ids(BASE)
    assert load_tokenizer(BASE).get_vocab()["<|user|>"] in ends
    for folder, chat in (
        (BASE, Chat()),
        (other, Chat(template_values='{"x":1}')),
        (BASE, named),
        (other, named),
    ):
        honest.engine(folder, chat).generate(["1 + 3 ="], TWO, [70])
    assert notes(tmp_path) == [f"start {BASE}", f"reload {other}", f"start {BASE}", f"reload {other}"]


def test_another_shape_of_model_gets_a_server_of_its_own(
    server: Callable[..., VllmServer], tmp_path: Path
) -> None:
    shaped = save_model(tmp_path / "llama", "llama")
    tables = json.loads((tmp_path / "tables.json").read_text())
    tables[str(shaped)] = computed(shaped, probe_ids(260, 96))
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    honest = server("honest")
    for folder in (BASE, shaped):
        honest.engine(folder).generate(["1"], TWO, [70])
    assert notes(tmp_path) == [f"start {BASE}", f"start {shaped}"]


def test_a_folder_that_cannot_be_loaded_is_refused_and_the_server_stays(
    server: Callable[..., VllmServer], tmp_path: Path, other: Path
) -> None:
    honest = server("honest")
    honest.engine(BASE).generate(["1"], TWO, [70])
    torn = tmp_path / "torn"
    shutil.copytree(other, torn)
    (torn / "model.safetensors").write_bytes(b"\x00" * 100)
    for bad in (tmp_path / "nowhere", torn):
        with pytest.raises(ModelError):
            honest.engine(bad).generate(["1"], TWO, [70])
    honest.engine(BASE).generate(["1"], TWO, [70])
    assert notes(tmp_path) == [f"start {BASE}"]


def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent(server: Callable[..., VllmServer]) -> None:
    with pytest.raises(PromptRefused) as refused:
        server("dies").engine(BASE).generate(["short", "long " * 2000], TWO, [0, 70])
    assert refused.value.indices == (1,)


def test_a_death_under_way_costs_a_new_server_and_no_sample(
    server: Callable[..., VllmServer], tmp_path: Path
) -> None:
    seen: list[int] = []
    outputs = server("once").engine(BASE).generate(["1", "2", "3"], TWO, [0, 70, 140], seen.append)
    assert [[one.seed for one in samples] for samples in outputs] == [[0, 1], [70, 71], [140, 141]]
    assert sum(seen) == 6
    assert notes(tmp_path) == [f"start {BASE}"] * 2


def test_servers_that_die_again_and_again_are_an_error_that_quotes_the_last(
    server: Callable[..., VllmServer], tmp_path: Path
) -> None:
    with pytest.raises(ServerFailed, match="the stand-in has had enough") as failure:
        server("dies", restarts=1).engine(BASE).generate(["1"], TWO, [70])
    assert "\n" not in str(failure.value)
    assert notes(tmp_path) == [f"start {BASE}"] * 2


def test_the_option_asks_for_vllm_and_keeps_what_the_recipe_says_of_it(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    for before, engine_kind, kind, dtype in (
        ("{kind: vllm, dtype: bfloat16}", "vllm", "vllm", "bfloat16"),
        ("{kind: embedded}", "vllm", "vllm", None),
        ("{kind: vllm, dtype: bfloat16}", "embedded", "embedded", "float32"),
    ):
        file.write_text(f"recipe: rft\nengine: {before}\n")
        chosen = chosen_recipe(
            str(file), str(tmp_path / "lake"), "night", None, None, None, (), engine=engine_kind
        )
        assert (chosen.engine.kind, getattr(chosen.engine, "dtype", None)) == (kind, dtype)
    hashes = {Rft(engine=Vllm(restarts=tries)).hash for tries in (0, 5)}
    assert len(hashes | {Rft().hash, Rft(engine=Vllm(dtype="float16")).hash}) == 3


def test_a_server_makes_room_for_training_where_it_is_told_to(tmp_path: Path, other: Path) -> None:
    (tmp_path / "tables.json").write_text(json.dumps({str(BASE): computed(BASE, probe_ids(1024, 1024))}))
    command = (sys.executable, str(STAND_IN), str(tmp_path), "honest")
    with closing_servers():
        for keep, starts in ((True, 1), (False, 2)):
            recipe = Rft(engine=Vllm(command=command, keep_in_training=keep))
            assert isinstance(recipe.engine, Vllm)
            server = server_of(recipe.engine)
            for _ in range(2):
                server.engine(BASE).generate(["1"], TWO, [70])
                make_room(recipe)
            assert (server.starts, server.runs) == (starts, keep)
    assert not server.runs


def test_without_vllm_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vllm_command, "HOUSE", tmp_path)
    monkeypatch.chdir(tmp_path)
    with VllmServer(Vllm()) as none, pytest.raises(BadInput, match="make vllm"):
        none.engine(BASE).generate(["1"], TWO, [70])
    with (
        VllmServer(Vllm(command=("no-such-program",))) as none,
        pytest.raises(BadInput, match="no-such-program"),
    ):
        none.engine(BASE).generate(["1"], TWO, [70])


def test_the_server_ends_answers_where_the_embedded_engine_does(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(BASE, folder)
    assert end_ids(folder) == [1]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 7], "top_k": 3}))
    assert end_ids(folder) == [1, 5, 7]
    arguments = flags(Vllm(), folder, port=1, name="x", scratch=tmp_path)
    assert arguments[arguments.index("--generation-config") + 1] == str(tmp_path)
    assert json.loads((tmp_path / "generation_config.json").read_text()) == {"eos_token_id": [1, 5, 7]}
    (folder / "generation_config.json").unlink()
    assert end_ids(folder) == [1]


def test_what_a_server_is_started_with_lies_where_it_is_looked_for() -> None:
    module, _, name = vllm_command.RELOAD.partition(".")
    assert f"class {name}" in (vllm_command.INSIDE / f"{module}.py").read_text("utf-8")
    assert (vllm_command.HOUSE / "pyproject.toml").is_file()
