"""Saves to resume from: a training that is killed goes on from its last good one, to the bit.

A save is a folder `saves/step-N` (N steps done) with Accelerate's state, the ledger so far and a
`save.json` with every file's size and SHA-256. It is written under another name, synced, then renamed;
one that is torn, damaged or of another job is passed over. Of a model with adapters it holds the adapters
alone, unless the model is sharded. The last two are kept, none after success. Randomness needs no state:
every step seeds its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor

from warehouse.store.durable import replace, sha256, sync

SAVES = "saves"
KEPT = 2


@dataclass(frozen=True)
class Save:
    """A good save: `steps` optimizer steps were done, in `seconds`, with `threads` CPU threads."""

    folder: Path
    steps: int
    seconds: float
    threads: int

    def ledger(self) -> list[dict[str, Any]]:
        """The rows of the steps done."""
        return pl.read_parquet(self.folder / "ledger.parquet").to_dicts()


def write_save(
    output: Path, accelerator: Accelerator, ledger: pl.DataFrame, *, job: str, seconds: float
) -> None:
    """Save the prepared model and optimizer; every process calls it, the first one seals the folder."""
    folder = output / SAVES / f"step-{ledger.height}"
    partial = folder.with_suffix(".partial")
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        ledger.write_parquet(partial / "ledger.parquet")
        facts = {
            "job": job,
            "devices": accelerator.num_processes,
            "threads": torch.get_num_threads(),
            "steps": ledger.height,
            "seconds": seconds,
            "files": _files(partial),
        }
        sync_tree(partial)
        replace(partial / "save.json", json.dumps(facts).encode())
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        sync(folder.parent)
        for old in _folders(output)[KEPT:]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def last_save(output: Path, *, job: str, devices: int) -> Save | None:
    """The newest save that is whole and of this job on as many devices; None: start from the base."""
    return next((save for save in map(_read(job, devices), _folders(output)) if save), None)


def save_trained_alone(accelerator: Accelerator) -> None:
    """Leave weights that are not trained, the base's, out of saves; sharded ones are saved whole."""
    if accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return

    def keep_trained(models: list[Any], weights: list[dict[str, Tensor]], _: str) -> None:
        for place, model in enumerate(models):
            trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
            frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
            if frozen:
                weights[place] = {name: weights[place][name] for name in sorted(trained)}

    accelerator.register_save_state_pre_hook(keep_trained)


def load_save(save: Save, accelerator: Accelerator) -> None:
    """Put a save's weights and optimizer into the prepared ones; what it left out stays as it is."""
    whole = accelerator.distributed_type == DistributedType.DEEPSPEED
    accelerator.load_state(str(save.folder), **({} if whole else {"strict": False}))


def sync_tree(folder: Path) -> None:
    """Flush a folder and everything below it to the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def drop_saves(output: Path) -> None:
    """Remove all saves, torn ones too."""
    shutil.rmtree(output / SAVES, ignore_errors=True)


def _read(job: str, devices: int) -> Callable[[Path], Save | None]:
    def read(folder: Path) -> Save | None:
        try:
            facts = json.loads((folder / "save.json").read_text("utf-8"))
            fits = facts["job"] == job and facts["devices"] == devices
            if not fits or facts["files"] != _files(folder):
                return None
            return Save(folder, facts["steps"], facts["seconds"], facts["threads"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    return read


def _folders(output: Path) -> list[Path]:
    folders = [path for path in (output / SAVES).glob("step-*") if path.suffix != ".partial"]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def _files(folder: Path) -> dict[str, list[int | str]]:
    sealed = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "save.json")
    return {str(path.relative_to(folder)): [path.stat().st_size, sha256(path)] for path in sealed}
