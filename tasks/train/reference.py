"""What a checkpoint would have given to the tokens that another drew: plain forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from tasks.models.checkpoint import file_stamps, load_model
from tasks.train.batches import collate
from tasks.train.objectives.objective import IGNORED, Encoded
from tasks.train.objectives.responses import labelled, taken

BATCH = 16
PADDING = {"input_ids": 0, "labels": IGNORED}


def token_logprobs(
    folder: Path,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    temperature: float,
    batch: int = BATCH,
) -> list[list[float]]:
    """The log-probability (nats) of every token of each answer after its prompt, at a temperature.

    One list an answer, as long as it is; a prompt has one token at least. Padding and batch size change
    nothing but the last bits of a float. ModelError where the folder cannot be loaded.
    """
    model = _model(folder, file_stamps(folder))
    device = next(model.parameters()).device
    order = sorted(range(len(answers)), key=lambda row: (-len(prompts[row]) - len(answers[row]), row))
    results: list[list[float]] = [[] for _ in answers]
    with torch.no_grad():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            examples = [_encoded(prompts[row], answers[row]) for row in rows]
            tensors = collate(examples, PADDING, device)
            warm = torch.full((len(rows),), temperature, device=device)
            tokens = taken(model, tensors["input_ids"], tensors["labels"], warm)
            parts = torch.split(tokens.logprobs.cpu(), [len(answers[row]) for row in rows])
            for row, part in zip(rows, parts, strict=True):
                results[row] = part.tolist()
    return results


def _encoded(prompt: Sequence[int], answer: Sequence[int]) -> Encoded:
    ids, labels = labelled(list(prompt), list(answer))
    return Encoded({"input_ids": ids, "labels": labels}, len(ids), len(ids), len(answer))


@lru_cache(maxsize=1)
def _model(folder: Path, files: tuple[tuple[str, int], ...]) -> Any:
    """The model, kept in memory while its files stay as they are."""
    model: Any = load_model(folder)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
