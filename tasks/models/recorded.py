"""A checkpoint's folder holds what the log says, or it is not used."""

from __future__ import annotations

from schemas.errors import ModelError
from tasks.models.checkpoint import weights_hash
from warehouse.loops import Checkpoint
from warehouse.models.described import files_hash
from warehouse.models.location import missing_line


def check_there(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose folder is nowhere: one line says where it was looked for, and what to do."""
    if not checkpoint.folder.is_dir():
        raise ModelError(missing_line(checkpoint.id, checkpoint.content_hash, checkpoint.folder))


def check_weights(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose weights, or other files that decide, are not those that the log knows."""
    check_there(checkpoint)
    digest = weights_hash(checkpoint.folder)
    if digest != checkpoint.content_hash:
        raise ModelError(
            f"the weights at {checkpoint.folder} are not those of {checkpoint.id}: "
            f"they hash to {digest[:12]}, the log says {checkpoint.content_hash[:12]}"
        )
    if checkpoint.files_hash not in (None, files_hash(checkpoint.folder)):
        raise ModelError(
            f"the configuration, tokenizer or chat template at {checkpoint.folder} is not that of "
            f"{checkpoint.id}: put the files back as they were, or begin another loop with these"
        )
