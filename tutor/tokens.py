"""The tutor's tokenizer: byte-level BPE, so that any text encodes, with one token for each number to 100."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = (PAD, END, SYSTEM, USER, ASSISTANT)

VOCABULARY = 1024
LONGEST_CHAT = 1024

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{- '<|assistant|>' -}}
{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}
{%- elif message['role'] in ['system', 'user'] -%}
{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}
{%- else -%}
{{- raise_exception('no such role: ' + message['role']) -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""

_PIECES = r"\n#### | ?<<|>>|\d+| ?\p{L}+| ?[^\s\p{L}\d]|\s"
"""Where BPE never joins: an answer mark, a calculator mark, a run of digits, a word, a sign."""


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with at most `VOCABULARY` tokens, words learned from the texts.

    Its first merges make the numbers 10 to 100; longer runs of digits split, the left pair first.
    """
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _pieces()
    numbers = [(a, b) for a in "123456789" for b in "0123456789"] + [("10", "0")]
    room = VOCABULARY - len(SPECIAL) - len(numbers)
    trainer = trainers.BpeTrainer(
        vocab_size=room,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=20,
        show_progress=False,
    )
    learner.train_from_iterator((_without_digits(text) for text in texts), trainer)
    bpe = json.loads(learner.to_str())["model"]
    merges = numbers + [tuple(pair) for pair in bpe["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*SPECIAL, *alphabet, *(left + right for left, right in merges)]
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return _wrapped(Tokenizer(models.BPE(vocab=vocabulary, merges=merges)))


def _pieces() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _without_digits(text: str) -> str:
    """Digits would take room: their merges are given, not learned."""
    return "".join(character for character in text if not character.isdigit())


def _wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.pre_tokenizer = _pieces()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[SYSTEM, USER, ASSISTANT],
        model_max_length=LONGEST_CHAT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
