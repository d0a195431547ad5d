"""What the assistant said earlier in a conversation, found in its prompt's tokens as the template writes it.

A turn that is learned begins where a prompt of the turns before it ends, and ends with the model's end of
turn: the model learns what it would have had to write then, seeing what it would have seen. A template that
writes an earlier turn otherwise than a last one (it drops thoughts, say, or moves the system message) has no
such place, and is refused.
"""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from schemas.errors import ModelError
from tasks.models.conversation import Message, Prompt, messages_of, prompt_of
from tasks.models.rendering import has_template, prompt_ids, prompt_text, template_messages, templated
from tasks.models.turns import end_of_turn

_LAST = "only turns=last can be learned"


def earlier_turns(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[range]:
    """The places in `prompt_ids` of each turn of the assistant and the token that ends it, in order.

    Where a token reaches over the beginning of a turn, the turn begins with it. ModelError where a turn
    cannot be told apart, or is not closed by an end of turn.
    """
    messages = messages_of(prompt)
    assistant_places = [place for place, one in enumerate(messages) if one.role == "assistant"]
    if not assistant_places:
        return []
    if not has_template(tokenizer):
        raise ModelError(f"without a chat template no token ends an earlier turn: {_LAST}")
    ids, text, end = prompt_ids(tokenizer, prompt), prompt_text(tokenizer, prompt), end_of_turn(tokenizer)
    ranges = []
    for place in assistant_places:
        _refuse_other(tokenizer, messages, place, text)
        start = _shared(prompt_ids(tokenizer, prompt_of(messages[:place])), ids)
        stop = next((i for i in range(start, len(ids)) if ids[i] == end), None)
        if stop is None or not _holds(tokenizer, ids[start:stop], messages[place]):
            raise ModelError(f"no end of turn closes message {place + 1}: {_LAST}")
        ranges.append(range(start, stop + 1))
    return ranges


def _refuse_other(
    tokenizer: PreTrainedTokenizerBase, messages: tuple[Message, ...], place: int, text: str
) -> None:
    """ModelError unless a turn stands in the whole as it does where nothing follows it, asked as it was."""
    before = prompt_text(tokenizer, prompt_of(messages[:place]))
    through_turn = templated(tokenizer, template_messages(messages[: place + 1])).rstrip()
    if not (text.startswith(before) and text.startswith(through_turn) and through_turn.startswith(before)):
        raise ModelError(f"the chat template writes message {place + 1} otherwise once more is said: {_LAST}")


def _shared(before: list[int], ids: list[int]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))


def _holds(tokenizer: PreTrainedTokenizerBase, ids: list[int], message: Message) -> bool:
    """Whether tokens are a message's content, whatever stands around it."""
    decoded: str = tokenizer.decode(ids, clean_up_tokenization_spaces=False)  # type: ignore[assignment]
    return message.content.strip() in decoded
