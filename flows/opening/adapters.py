"""A loop opened with an adapter's folder: merged with its base into a model, which the lake then owns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from schemas.errors import ModelError
from tasks.train.adapters import adapter_hash, is_adapter, lora_of, merge, unread_settings
from warehouse.lake import Lake
from warehouse.models.location import named_models, search_folders
from warehouse.models.tensors import weights_hash
from warehouse.query import read


@dataclass(frozen=True)
class Model:
    """A model to open a loop with. `merged` says, in one line, what an adapter was merged with."""

    folder: Path
    merged: str | None = None


_MERGED: dict[tuple[str, str], TemporaryDirectory[str]] = {}
"""What was merged in this process, by the hashes of adapter and base: gone with the process."""


@contextmanager
def whole_model(folder: Path) -> Iterator[Model]:
    """A folder as a model: an adapter's is merged into its base, once in a process. ModelError where it has
    none here, or does not fit it; errors inside name the adapter.
    """
    if not is_adapter(folder):
        yield Model(folder)
        return
    config = lora_of(folder)
    base = _base_of(folder, str(config.base_model_name_or_path))
    key = (adapter_hash(folder), weights_hash(base))
    if key not in _MERGED:
        place = TemporaryDirectory(prefix="ratchet-merged-")
        merge(folder, base, Path(place.name))
        _MERGED[key] = place
    merged = Path(_MERGED[key].name)
    kind = "DoRA" if config.use_dora else "LoRA"
    line = f"{folder} is an adapter ({kind}, rank {config.r}): merged into its base at {base}, in float32"
    if unread := unread_settings(folder):
        line += f"; what its {', '.join(unread)} may change is not known here"
    try:
        yield Model(merged, line)
    except ModelError as error:
        raise ModelError(str(error).replace(str(merged), f"{folder} merged into {base}")) from None


def began_from(lake: Lake, loop: str, folder: Path) -> bool:
    """Whether a loop was opened with this adapter, whose base is not needed again, or with what lay in this
    folder, which is gone.
    """
    if folder.is_dir() and not is_adapter(folder):
        return False
    rows = read(lake, "checkpoints", {"loop": loop, "round": 0})
    origins = rows.filter((pl.col("role") == "policy") & pl.col("training_id").is_null())["origin"]
    values = [json.loads(origin) for origin in origins if origin]
    if not folder.is_dir():
        return str(folder.resolve()) in [one.get(name) for one in values for name in ("adapter", "folder")]
    return adapter_hash(folder) in [one.get("adapter_hash") for one in values]


def _base_of(folder: Path, name: str) -> Path:
    """The folder of the base that an adapter names: there, or one of its name below the folders searched."""
    if Path(name).is_dir():
        return Path(name)
    places = named_models(name)
    if len(places) == 1:
        return places[0]
    if places:
        raise ModelError(
            f"{folder} is an adapter of {name}, of which there are two: {places[0]}, {places[1]}"
        )
    looked = "".join(f", nor below {one}" for one in search_folders())
    raise ModelError(
        f"{folder} is an adapter of {name}, which is no folder here{looked}: name the folder that holds it "
        "by --models DIR"
    )
