"""What a teacher says of each place of a text: soft targets (Hinton et al. 2015, arXiv 1503.02531).

A text goes through the teacher alone, so that what is said of it depends on nothing beside it: soft targets
computed while a student trains are those on record, to the bit, on one machine, in one type. Draws depend on
a seed and the text's own tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from schemas.errors import BadInput, TrainingFailed
from schemas.ids import digest
from schemas.job import Distil, TrainingJob
from schemas.tables import SOFT_TARGETS
from tasks.models.checkpoint import file_stamps, load_model
from tasks.models.vocabulary import vocabulary_size
from tasks.train.machine import cpu_threads
from tasks.train.objectives.objective import Objective


@dataclass(frozen=True)
class SoftTargets:
    """A teacher's few next tokens at each place of a text, at a temperature.

    `ids` and `logprobs` (nats) are (places, k); `tail` is the log of the mass of all other tokens, (places,),
    None where the tokens were drawn; `own` are the log-probabilities of the text's tokens at temperature 1.
    """

    ids: Tensor
    logprobs: Tensor
    tail: Tensor | None
    own: Tensor


def soft_targets(logits: Tensor, tokens: Tensor, settings: Distil, seed: int) -> SoftTargets:
    """Soft targets from a teacher's logits, (places, vocabulary), of which each precedes one of `tokens`.

    BadInput where k tokens are the whole vocabulary, or more.
    """
    if settings.k >= logits.shape[1]:
        raise BadInput(
            f"training.distil.k is {settings.k}, of a vocabulary of {logits.shape[1]}: take support whole"
        )
    logits = logits.float()
    own = logits.log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]
    whole = (logits / settings.temperature).log_softmax(dim=-1)
    if settings.support == "sampled":
        generator = torch.Generator(logits.device)
        generator.manual_seed(int(digest((seed, *tokens.tolist()))[:12], 16))
        ids = torch.multinomial(whole.exp(), settings.k, replacement=True, generator=generator)
        return SoftTargets(ids, _rounded(whole.gather(1, ids), settings), None, own)
    logprobs, ids = whole.topk(settings.k, dim=-1)
    tail = tail_of(whole, ids)
    return SoftTargets(ids, _rounded(logprobs, settings), _rounded(tail, settings), own)


def _rounded(logprobs: Tensor, settings: Distil) -> Tensor:
    """Log-probabilities as they are learned from, whether from the log or from a teacher that is asked."""
    return logprobs.half().float() if settings.precision == "float16" else logprobs


def tail_of(whole: Tensor, ids: Tensor) -> Tensor:
    """The log of the mass of all but some tokens, (places,): `whole` are log-probabilities, (places,
    vocabulary), `ids` the tokens, (places, k), none twice at a place.
    """
    return whole.scatter(1, ids, -torch.inf).logsumexp(dim=-1)


def ask(teacher: Any, ids: Sequence[int], start: int, settings: Distil, seed: int) -> SoftTargets:
    """A teacher's soft targets of a text's tokens from place `start` on (1 or later)."""
    device = next(teacher.parameters()).device
    text = torch.tensor(ids, dtype=torch.long, device=device)
    with torch.no_grad():
        logits = teacher(input_ids=text[None], use_cache=False).logits[0, start - 1 : -1]
        return soft_targets(logits, text[start:], settings, seed)


def soft_target_rows(
    folder: Path,
    teacher_id: str,
    texts: Sequence[tuple[str, Sequence[int], Sequence[int]]],
    settings: Distil,
    seed: int,
) -> Iterator[pl.DataFrame]:
    """A row of table `soft_targets` for each text: its candidate, its prompt's tokens and its own.

    ModelError where the folder cannot be loaded.
    """
    with threads_of_a_training():
        teacher = teacher_of(folder)
        for name, prompt, own in texts:
            start = max(len(prompt), 1)  # a first token without anything before it is not predicted
            said = ask(teacher, [*prompt, *own], start, settings, seed)
            yield SOFT_TARGETS.frame(
                [
                    {
                        "candidate_id": name,
                        "checkpoint_id": teacher_id,
                        "support": settings.support,
                        "k": settings.k,
                        "temperature": settings.temperature,
                        "teacher_ids": _listed(said.ids),
                        "teacher_logprobs": _listed(said.logprobs),
                        "tail_logprobs": None if said.tail is None else _listed(said.tail),
                        "logprobs": _listed(said.own),
                    }
                ]
            )


def _listed(numbers: Tensor) -> pl.Series:
    return pl.Series(numbers.flatten().cpu().numpy())


@contextmanager
def threads_of_a_training() -> Iterator[None]:
    """As many CPU threads as a training has: the last bit of a product can depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(cpu_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def teacher_of(folder: Path, device: torch.device | None = None) -> Any:
    """The model in a folder, in float32, as teachers are asked, on a device (None: a GPU where there is one);
    kept in memory while its files stay as they are.
    """
    own = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return _teacher(folder, file_stamps(folder), own)


@lru_cache(maxsize=1)
def _teacher(folder: Path, files: tuple[tuple[str, int], ...], device: torch.device) -> Any:
    model: Any = load_model(folder)
    for parameter in model.parameters():
        # As in a training (tasks/train/weights.py): the last bit may depend on where weights lie.
        parameter.data = parameter.data.clone()
    model.requires_grad_(False)
    return model.to(device).eval()


def taught(objective: Objective, job: TrainingJob, device: torch.device) -> Objective:
    """A job's objective with the teacher that the job names, if it names one, on the student's device.

    TrainingFailed where the objective asks none; BadInput where its logits are of another vocabulary.
    """
    if job.teacher is None:
        return objective
    if objective.with_teacher is None:
        raise TrainingFailed(f"objective {objective.name} asks no teacher, and the job names {job.teacher}")
    student, teacher = Path(job.base), Path(job.teacher)
    sizes = vocabulary_size(teacher), vocabulary_size(student)
    if sizes[0] != sizes[1]:
        raise BadInput(f"teacher {teacher} has vocab_size {sizes[0]}, the student {sizes[1]}")
    return objective.with_teacher(teacher_of(teacher, device), job.seed)
