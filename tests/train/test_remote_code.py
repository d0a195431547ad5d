"""Promises of models with own code: not run unasked, hashed with the weights, trained like others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from flows.cli import main
from schemas.engine import Vllm
from schemas.errors import ModelError, TrainingFailed
from schemas.job import TrainingJob
from schemas.recipe import Sampling
from tasks.checkpoint import check_folder, load_model, weights_hash
from tasks.generate.embedded import EmbeddedEngine
from tasks.generate.vllm_command import flags
from tasks.remote_code import TRUST, is_trusted
from tasks.train.launch import run_job
from tasks.train.result import accept

MODEL = """
from transformers import LlamaConfig, LlamaForCausalLM
from .louder import LOUDER

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig

    def forward(self, *args, **kwargs):
        outputs = super().forward(*args, **kwargs)
        outputs.logits = outputs.logits * LOUDER
        return outputs
"""
CLASSES = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}

MakeJob = Callable[..., TrainingJob]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where transformers copies such code to, not the user's own; one place, since it stays imported."""
    place = str(tmp_path_factory.mktemp("modules"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_MODULES_CACHE", place)
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
        yield


@pytest.fixture
def folder(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: None) -> Path:
    """A model whose own code doubles a Llama's logits."""
    monkeypatch.delenv(TRUST, raising=False)
    brought = tmp_path / "brought"
    brought.mkdir()
    for file in base.iterdir():
        (brought / file.name).write_bytes(file.read_bytes())
    (brought / "modeling_own.py").write_text(MODEL)
    (brought / "louder.py").write_text("LOUDER = 2.0\n")
    name_classes(brought, CLASSES)
    return brought


def name_classes(folder: Path, classes: dict[str, str]) -> None:
    config = json.loads((folder / "config.json").read_text())
    own = {"auto_map": classes, "model_type": "own", "architectures": ["OwnForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config | own))


def test_code_is_not_run_unasked(folder: Path) -> None:
    (folder / "louder.py").write_text("raise SystemExit('run')\n")
    for refusing in (check_folder, load_model, weights_hash):
        with pytest.raises(ModelError, match=r"brings its own code .* --trust-remote-code .* allows it"):
            refusing(folder)


def test_the_command_line_can_trust_code(folder: Path, tmp_path: Path) -> None:
    run = ["run", "rft", "--model", str(folder), "--lake", str(tmp_path / "lake")]
    refused = CliRunner().invoke(main, run)
    assert refused.exit_code == 2
    assert "brings its own code" in refused.output
    assert not is_trusted()
    told = CliRunner().invoke(main, ["run", "--help"]).output
    assert "--trust-remote-code" in told


@pytest.mark.parametrize("said", ["", "0", "no", "false"])
def test_only_a_yes_is_trust(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(TRUST, said)
    with pytest.raises(ModelError, match="brings its own code"):
        check_folder(folder)


def test_trusted_code_is_run_and_hashed(folder: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, "1")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        doubled, plain = load_model(folder)(ids).logits, load_model(base)(ids).logits
    assert torch.allclose(doubled, 2.0 * plain)
    before = weights_hash(folder)
    assert before != weights_hash(base)
    (folder / "louder.py").write_text("LOUDER = 3.0\n")
    assert weights_hash(folder) != before
    (folder / "louder.py").write_text("LOUDER = 2.0\n")
    assert weights_hash(folder) == before


@pytest.mark.parametrize("named", ["someone/models--modeling_own.OwnForCausalLM", "missing.OwnForCausalLM"])
def test_code_that_is_elsewhere_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv(TRUST, "1")
    name_classes(folder, CLASSES | {"AutoModelForCausalLM": named})
    with pytest.raises(ModelError, match="names code that is not in its folder"):
        check_folder(folder)


def test_vllm_is_told_of_trust_for_such_a_folder_alone(
    folder: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "1")
    told = [flags(Vllm(), each, port=1, name="own", scratch=tmp_path) for each in (folder, base)]
    assert ["--trust-remote-code" in each for each in told] == [True, False]


@pytest.mark.parametrize("in_process", [True, False], ids=["in process", "launched"])
def test_a_model_with_code_trains_and_its_result_runs_that_code(
    folder: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, in_process: bool
) -> None:
    monkeypatch.setenv(TRUST, "1")
    job = make_job(folder=folder, epochs=1)
    result = run_job(job, in_process=in_process)
    accept(result)
    trained = load_model(result.checkpoint)
    assert type(trained).__name__ == "OwnForCausalLM"
    for name in ("modeling_own.py", "louder.py"):
        assert (result.checkpoint / name).read_bytes() == (folder / name).read_bytes()
    with EmbeddedEngine(result.checkpoint, device="cpu") as engine:
        assert engine.generate(["hello"], Sampling(samples=2, max_tokens=4), [1])[0][1].token_count
    (result.checkpoint / "louder.py").write_text("LOUDER = 4.0\n")
    with pytest.raises(TrainingFailed, match="was changed after the training"):
        accept(result)
