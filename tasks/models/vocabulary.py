"""Whether two models read and write the same tokens, so that their probabilities of the next one compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from schemas.errors import BadInput, ModelError, first_line
from schemas.job import Chat
from tasks.models.checkpoint import LOAD_ERRORS, check_folder, load_tokenizer
from tasks.models.remote_code import may_run
from tasks.models.rendering import prompt_tokens
from tasks.models.turns import answer_tokens

PROBE = "Tom's 12 boxes hold 3.5 kg; naïve Ωmega, 你好 \U0001f642\n\tthen  2*7=14, #### 14"


def vocabulary_size(folder: Path) -> int:
    """How many tokens a model gives a probability to, by its configuration; ModelError where it cannot be
    read.
    """
    check_folder(folder)
    try:
        config: Any = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=may_run(folder)
        )
    except LOAD_ERRORS as error:
        raise ModelError(f"{folder} has no usable config.json: {first_line(error)}") from None
    return int(config.get_text_config().vocab_size)


def check_same_tokens(student: Path, teacher: Path, chat: Chat) -> None:
    """BadInput, of one line, where a teacher's probabilities of the next token are of other tokens than the
    student's: by vocab_size, by the tokenizer, or by how a prompt and an answer are written in tokens.

    `chat` is how the student writes its turns.
    """
    sizes = {folder: vocabulary_size(folder) for folder in (student, teacher)}
    if sizes[student] != sizes[teacher]:
        raise BadInput(
            f"teacher {teacher} has vocab_size {sizes[teacher]}, the student {sizes[student]}: their logits"
            " do not compare, take a teacher of the student's family"
        )
    ours, theirs = load_tokenizer(student, chat), load_tokenizer(teacher)
    if apart := sorted(set(ours.get_vocab().items()) ^ set(theirs.get_vocab().items())):
        raise BadInput(
            f"teacher {teacher} has another tokenizer than the student ({len(apart)} entries of the"
            f" vocabulary differ, {apart[0][0]!r} first): their logits do not compare"
        )
    for what, write in (("a text", _plain), ("a prompt", _asked), ("an answer", answer_tokens)):
        if write(ours, [PROBE]) != write(theirs, [PROBE]):
            raise BadInput(
                f"teacher {teacher} writes {what} in other tokens than the student: their logits do not"
                " compare"
            )


def _plain(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"])


def _asked(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return prompt_tokens(tokenizer, texts)
