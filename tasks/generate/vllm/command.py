"""How vLLM is started on a checkpoint: the program, its flags and its environment, as seen with 0.32.

On a CPU: float32 (`auto` would make it bfloat16), no compiling, and prompts in one piece, because seeded
requests with chunked prefill kill the engine there. End tokens are given as the embedded engine has them, and
nothing else of the folder's generation settings, because vLLM would sample by them where a request is silent
(top-k, repetition).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from schemas.engine import Vllm
from schemas.errors import BadInput
from schemas.job import Chat
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import context_length
from tasks.models.ends import end_ids
from tasks.models.remote_code import may_run

HOUSE = Path(__file__).resolve().parents[3]
OWN_PYTHON = Path(".venv-vllm", "bin", "python")
"""What `make vllm` makes, in the house or where the run was started."""
MODULE = ("-m", "vllm.entrypoints.openai.api_server")  # `vllm serve` refuses to run the CPU build
INSIDE = Path(__file__).parent / "in_vllm"
RELOAD = "ratchet_reload.Reload"
BATCHED_TOKENS = 2048

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "VLLM_SERVER_DEV_MODE": "1",  # weights are changed through what it opens
}


def program(settings: Vllm) -> list[str]:
    """The program and its first words; BadInput where there is none."""
    if settings.command is not None:
        first = settings.command[0]
        path = shutil.which(first) or shutil.which(str(HOUSE / first))
        if path is None:
            raise BadInput(f"engine.command: there is no program {first}")
        return [path, *settings.command[1:]]
    places = (Path.cwd() / OWN_PYTHON, HOUSE / OWN_PYTHON)
    own = next((place for place in places if place.is_file()), None)
    if own is None:
        raise BadInput(
            f"there is no vLLM at {places[-1]}: run `make vllm`, or name its command (engine.command)"
        )
    return [str(own), *MODULE]


def flags(
    settings: Vllm, folder: Path, *, port: int, name: str, scratch: Path, chat: Chat = PLAIN
) -> list[str]:
    """What the server is told: the folder, where it listens, how it computes; the user's own flags last."""
    (scratch / "generation_config.json").write_text(json.dumps({"eos_token_id": end_ids(folder, chat)}))
    words = ["--model", str(folder), "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--generation-config", str(scratch), "--worker-extension-cls", RELOAD]
    context = settings.max_model_len or context_length(folder)
    if context is not None:
        words += ["--max-model-len", str(context)]
    if not has_gpu():
        words += ["--enforce-eager", "--no-enable-chunked-prefill"]
        words += ["--max-num-batched-tokens", str(max(BATCHED_TOKENS, context or 0))]
    if may_run(folder):
        words.append("--trust-remote-code")
    words += ["--dtype", settings.dtype or ("auto" if has_gpu() else "float32")]
    return [*words, *settings.arguments]


def environment(key: str, own: Mapping[str, str]) -> dict[str, str]:
    """What is set for the server, beside the run's own environment `given`. The key is on no command line."""
    path = ":".join(filter(None, [str(INSIDE), own.get("PYTHONPATH")]))
    space = {} if has_gpu() else {"VLLM_CPU_KVCACHE_SPACE": own.get("VLLM_CPU_KVCACHE_SPACE", "1")}
    return ENVIRONMENT | space | {"PYTHONPATH": path, "VLLM_API_KEY": key}


@lru_cache(maxsize=1)
def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, as `make vllm` asks it."""
    path = shutil.which("nvidia-smi")
    if path is None:
        return False
    return subprocess.run([path, "-L"], capture_output=True, check=False).returncode == 0  # noqa: S603
