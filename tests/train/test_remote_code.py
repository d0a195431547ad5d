"""Promises of models with own code: not run unasked, hashed with the weights, trained like others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from flows.cli import main
from schemas.engine import Vllm
from schemas.errors import ModelError, TrainingFailed
from schemas.job import TrainingJob
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine, embedded_engine
from tasks.generate.vllm.command import flags
from tasks.models.checkpoint import check_folder, context_length, load_model, weights_hash
from tasks.models.remote_code import TRUST, is_trusted
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
    monkeypatch.setenv(TRUST, "")
    brought = Path(shutil.copytree(base, tmp_path / "brought"))
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
    name_classes(folder, CLASSES | {"AutoModelForCausalLM": "missing.OwnForCausalLM"})
    trusting = CliRunner().invoke(main, [*run, "--trust-remote-code"])
    assert trusting.exit_code == 2
    assert "names code that is not in its folder: missing.OwnForCausalLM" in trusting.output
    assert is_trusted(), "processes that it starts are told too"


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
    name_classes(folder, CLASSES | {"AutoModelForCausalLM": "modeling_own.Other"})
    assert weights_hash(folder) != before, "another of its classes is used"


def test_trust_does_not_reach_folders_that_name_no_code(
    base: Path, tmp_path: Path, modules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers would run `custom_generate/generate.py` of any folder that it was told to trust."""
    monkeypatch.setenv(TRUST, "1")
    folder = Path(shutil.copytree(base, tmp_path / "plain"))
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text("raise SystemExit('run')\n")
    load_model(folder)
    assert weights_hash(folder) == weights_hash(base)


def test_an_engine_is_loaded_again_when_its_code_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "1")
    before = embedded_engine(folder)
    assert embedded_engine(folder) is before
    (folder / "louder.py").write_text("LOUDER = 5.0\n")
    assert embedded_engine(folder) is not before


def test_two_models_of_one_name_do_not_run_each_others_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As models are shipped: the configuration in a file of its own, which both have alike."""
    monkeypatch.setenv(TRUST, "1")
    own = "from transformers import LlamaConfig\n\nclass OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
    model = MODEL.replace("from .louder", "from .configuration_own import OwnConfig\nfrom .louder")
    model = model.replace('class OwnConfig(LlamaConfig):\n    model_type = "own"\n', "")
    both = []
    for name, louder in (("a", "LOUDER = 2.0\n"), ("b", "LOUDER = -3.0\n")):
        one = Path(shutil.copytree(folder, tmp_path / name / "checkpoint"))
        (one / "configuration_own.py").write_text(own)
        (one / "modeling_own.py").write_text(model)
        (one / "louder.py").write_text(louder)
        name_classes(one, CLASSES | {"AutoConfig": "configuration_own.OwnConfig"})
        both.append(one)
    load_model(both[0])
    with pytest.raises(ModelError, match=r"other code than that of .* is loaded in this process"):
        load_model(both[1])


def test_code_that_fails_is_said_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, "1")
    (folder / "louder.py").write_text("import no_such_package\n")
    for load in (load_model, context_length):
        with pytest.raises(ModelError, match="no_such_package") as refused:
            load(folder)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "named",
    [
        "someone/models--modeling_own.OwnForCausalLM",
        "missing.OwnForCausalLM",
        "{there}/modeling_own.OwnForCausalLM",
        "../there/modeling_own.OwnForCausalLM",
    ],
)
def test_code_that_is_elsewhere_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv(TRUST, "1")
    there = tmp_path / "there"
    there.mkdir()
    (there / "modeling_own.py").write_text(MODEL)
    name_classes(folder, CLASSES | {"AutoModelForCausalLM": named.format(there=there)})
    with pytest.raises(ModelError, match="names code that is not in its folder"):
        check_folder(folder)


def test_vllm_is_told_of_trust_for_such_a_folder_alone(
    folder: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "1")
    arguments = [flags(Vllm(), each, port=1, name="own", scratch=tmp_path) for each in (folder, base)]
    assert ["--trust-remote-code" in each for each in arguments] == [True, False]


@pytest.mark.parametrize("here", [True, False], ids=["in process", "in another process"])
def test_a_model_with_code_trains_and_its_result_runs_that_code(
    folder: Path,
    make_job: MakeJob,
    in_another_process: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    here: bool,
) -> None:
    monkeypatch.setenv(TRUST, "1")
    job = make_job(folder=folder, epochs=1)
    assert here or in_another_process(job) == 0
    result = run_job(job, in_process=True)  # what the other process made, where there was one
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
