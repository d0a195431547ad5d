"""What a training asks of the machine: threads, repeatable arithmetic, a folder of its own, its limits."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from schemas.errors import TrainingFailed

LOCK = ".lock"  # held while a job trains; holds the process id
EXTRA = ("bitsandbytes",)
RECORDED = ("torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors", "numpy")


def cpu_threads() -> int:
    """Threads of one training process: `RATCHET_CPU_THREADS`, else its share of the usable cores."""
    if value := os.environ.get("RATCHET_CPU_THREADS"):
        if not (value.isdecimal() and int(value)):
            raise TrainingFailed(f"RATCHET_CPU_THREADS is {value!r}: give a number above 0")
        return int(value)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Deterministic kernels and seeded randomness inside; the caller's own state again afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # On a GPU some kernels have no deterministic form: there it is a wish. Filling fresh memory
    # guards against reading it before writing, at a cost; nothing here does that.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    memory.fill_uninitialized_memory = False
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filled
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def step_seed(seed: int, step: int, device: int) -> int:
    """The seed of one step's randomness (dropout) on one device: no state to carry over a resume."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step}:{device}".encode()).digest()[:7], "big")


@contextmanager
def claimed(output: Path) -> Iterator[None]:
    """The job's output folder, created, and this process's alone; the system ends the claim with it."""
    output.mkdir(parents=True, exist_ok=True)
    if int(os.environ.get("RANK", "0")):
        yield  # the first process of the job claims for all
        return
    with (output / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise TrainingFailed(
                f"process {lock.read()} is training in {output}: wait for it or stop it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the machine's memory ran out (the CPU allocator raises a RuntimeError)."""
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "can't allocate memory" in text
        or "not enough memory" in text
    )


def peak_memory(device: torch.device) -> int:
    """Bytes: the most a GPU had allocated, or the most this process has held in RAM."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """What the training ran on, for people."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{device.type} ({platform.machine()}, {torch.backends.cpu.get_cpu_capability()})"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that weights depend on."""
    extra = [name for name in EXTRA if importlib.util.find_spec(name) is not None]
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in (*RECORDED, *extra)
    }
