"""Numbers read from models with a scalar head: a preference model's score of a text, a critic's values.

Padding and batch size change nothing but the last bits of a float. A text is its token ids, whole: what is
longer than the model's context is refused, never cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from schemas.errors import BadInput, ModelError
from tasks.models.checkpoint import file_stamps
from tasks.models.conversation import Prompt
from tasks.models.heads import Head, load_scalar
from tasks.models.rendering import prompt_tokens
from tasks.models.turns import answer_tokens

BATCH = 16


def text_scores(folder: Path, sequences: Sequence[Sequence[int]], batch: int = BATCH) -> list[float]:
    """The score of each sequence of token ids, read at its last token, by a model trained for objective
    `reward`; `batch` sequences go through it at once.

    ModelError where the folder holds no such model or a score is not finite, BadInput where a sequence is
    empty or longer than the model's context.
    """
    numbers = _numbers(folder, "sequence", sequences, batch)
    return [one[-1] for one in numbers]


def token_values(
    folder: Path,
    prompts_token_ids: Sequence[Sequence[int]],
    response_token_ids: Sequence[Sequence[int]],
    batch: int = BATCH,
) -> list[list[float]]:
    """The value before each response token, by a model trained for objective `value`: what it expects from
    there, having seen the prompt and the tokens before. One list a response, as long as it is.

    Errors as of `text_scores`; a prompt has one token at least.
    """
    pairs = list(zip(prompts_token_ids, response_token_ids, strict=True))
    if any(not prompt for prompt, _ in pairs):
        raise BadInput("a prompt without tokens: there is no place before its response to read a value at")
    numbers = _numbers(folder, "token", [[*prompt, *response] for prompt, response in pairs], batch)
    return [
        whole[len(prompt) - 1 : len(whole) - 1] for whole, (prompt, _) in zip(numbers, pairs, strict=True)
    ]


def answer_sequences(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], answers: Sequence[str]
) -> list[list[int]]:
    """Token ids of each prompt with its answer and the end of its turn, as objective `reward` learns them."""
    pairs = zip(prompt_tokens(tokenizer, prompts), answer_tokens(tokenizer, answers), strict=True)
    return [[*prompt, *answer] for prompt, answer in pairs]


def _numbers(folder: Path, head: Head, sequences: Sequence[Sequence[int]], batch: int) -> list[list[float]]:
    """The number at every position of each sequence; those of like length go through the model together."""
    if not sequences:
        return []
    model, context = _model(folder, head, file_stamps(folder))
    longest = max(map(len, sequences))
    if min(map(len, sequences)) == 0:
        raise BadInput("a text without tokens has no score")
    if context is not None and longest > context:
        raise BadInput(f"a text has {longest} tokens, more than the {context} of {folder}: nothing is cut")
    results: list[list[float]] = [[] for _ in sequences]
    device = next(model.parameters()).device
    with torch.no_grad():
        for rows in _batches(sequences, batch):
            tensors = [torch.tensor(sequences[row], dtype=torch.long) for row in rows]
            logits = model(input_ids=pad_sequence(tensors, batch_first=True).to(device)).logits.cpu()
            for row, numbers in zip(rows, logits, strict=True):
                own = numbers[: len(sequences[row])]
                if not own.isfinite().all():
                    raise ModelError(f"{folder}: a number that it gave is not finite")
                results[row] = own.tolist()
    return results


def _batches(sequences: Sequence[Sequence[int]], batch: int) -> Iterator[list[int]]:
    order = sorted(range(len(sequences)), key=lambda row: (-len(sequences[row]), row))
    yield from (order[start : start + batch] for start in range(0, len(order), batch))


@lru_cache(maxsize=2)
def _model(folder: Path, head: Head, files: tuple[tuple[str, int], ...]) -> tuple[Any, int | None]:
    """The model, kept in memory while its files stay as they are, and its context in tokens."""
    model: Any = load_scalar(folder, head)
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), int(limit) if limit else None
