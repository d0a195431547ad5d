"""How far two folders' weights are apart, tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def differences(one: Path, other: Path) -> list[dict[str, Any]]:
    """Tensors that differ, furthest first: `name`, `largest` absolute difference of two values, and how many
    values differ `of` how many; `largest` is None where a tensor is in one folder alone or of another shape.
    """
    ours, theirs = _tensors(one), _tensors(other)
    found = list[dict[str, Any]]()
    for name in sorted({*ours, *theirs}):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None or a.shape != b.shape:
            found.append({"name": name, "largest": None, "values": None, "of": None})
            continue
        apart = (a.double() - b.double()).abs()
        if not torch.equal(a, b):
            values = int((apart != 0).sum())
            found.append({"name": name, "largest": float(apart.max()), "values": values, "of": a.numel()})
    return sorted(found, key=lambda row: -(float("inf") if row["largest"] is None else row["largest"]))


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder by name."""
    return {
        name: tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }
