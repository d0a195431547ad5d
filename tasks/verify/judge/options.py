"""A comparison under one principle: an exchange, two answers as options, and which of them by its letter.

The form is that of AI feedback in Bai et al. 2022 (arXiv 2212.08073): the conversation, the principle's
comparison request, the options, "The answer is:". A soft label is the normalised likelihood of the two
`OPTIONS` as the model's next words.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.models.conversation import Prompt
from tasks.models.neutral import quoted, quoted_prompt

OPTIONS = (" (A)", " (B)")
"""What the model's answer may be: the option shown first, and the other one."""


def comparison_prompt(
    prompt: Prompt, comparison: str, first: str, second: str, specials: Sequence[str] = ()
) -> str:
    """What a model is asked about two answers to a prompt: every quoted line stands behind "| ".

    `comparison` is a principle's request; `specials` are the tokenizer's special texts, broken in quotes.
    """
    answers = (quoted(first, specials), quoted(second, specials))
    shown = "\n".join(f"{option.strip()}\n{text}" for option, text in zip(OPTIONS, answers, strict=True))
    return f"Asked:\n{quoted_prompt(prompt, specials)}\n{comparison}\n{shown}\nThe answer is:"
