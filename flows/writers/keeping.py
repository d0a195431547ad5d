"""Where a loop's model lies from now on: the lake's own copy, or where it is, found again by its hash."""

from __future__ import annotations

import time
from pathlib import Path

from flows.round.progress import reporter
from flows.round.round import lake_path
from schemas.recipes.shared import ModelFiles
from warehouse.lake import Lake
from warehouse.models.kept import find_copy, keep, size_of

LARGE = 8e9  # bytes of a model that nobody copies without being told


def kept_path(lake: Lake, folder: Path, content_hash: str, files_hash: str, by: ModelFiles) -> str:
    """The path by which the log names a model's folder, copied into the lake first unless it lies there or is
    kept by reference. A large copy is announced; one that takes seconds shows progress.
    """
    own = lake_path(folder, lake)
    if by == "reference" or not Path(own).is_absolute():
        return own
    size = size_of(folder)
    if size > LARGE and find_copy(lake, content_hash, files_hash) is None:
        reporter().say(
            f"copying {size / 1e9:,.1f} GB of {folder} into the lake at {lake.where}; with "
            "--model-files reference only its hash goes there, and it is found again below --models DIR"
        )
    start = time.monotonic()
    advance = reporter().begin("copy model", size, "bytes") if size > LARGE / 8 else lambda _: None
    name = keep(lake, folder, content_hash, files_hash, advance)
    if size > LARGE / 8:
        reporter().end("copy model", f"{size / 1e9:,.1f} GB", time.monotonic() - start)
    return name
