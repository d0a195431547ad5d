"""Promises of training on conversations: what is learned, token by token, is what the template writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.errors import BadInput, ModelError
from schemas.job import Dpo, Hyperparameters, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.models.conversation import Conversation, prompts_of
from tasks.models.rendering import prompt_ids, templated
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.dpo import dpo, encode_dpo
from tasks.train.objectives.objective import IGNORED
from tasks.train.objectives.registry import get_objective
from tasks.train.objectives.sft import sft
from tests.models.conftest import CHATML, byte_tokenizer
from tests.models.test_conversation import (
    DEAF,
    LLAMA3,
    MERGED,
    NO_SYSTEM,
    TALK,
    WORDS_ONLY,
    said,
    tokenizer_of,
)
from tests.train.conftest import freeze, write_model

LONG = Conversation(said("hi", "Hello!", "how are you", "\n Well. ", "good", system="Be kind."))
DROPPED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ '<think>\n\n</think>\n\n' if m.role == 'assistant' and loop.last else '' }}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen3: a block of thought stands in the last turn of the assistant alone."""


def frame(*talks: Conversation, response: str = "And you?") -> pl.DataFrame:
    """Examples of a snapshot."""
    return pl.DataFrame(
        {
            "example_id": [f"ex-{i}" for i in range(len(talks))],
            "prompt": [talk.text for talk in talks],
            "messages": [talk.json for talk in talks],
            "response": response,
            "chosen": response,
            "rejected": "no",
        }
    )


def learned(tokenizer: Any, talk: Conversation, turns: str) -> list[str]:
    """The texts of the stretches of tokens that carry a label."""
    (example,) = get_objective("sft", Hyperparameters(turns=turns)).encode(tokenizer, frame(talk))  # type: ignore[arg-type]
    ids, labels = example.tensors["input_ids"].tolist(), example.tensors["labels"].tolist()
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    assert example.units == sum(label != IGNORED for label in labels)
    spans: list[list[int]] = []
    for place, label in enumerate(labels):
        if label != IGNORED:
            if place == 0 or labels[place - 1] == IGNORED:
                spans.append([])
            spans[-1].append(label)
    return [tokenizer.decode(one) for one in spans]


@pytest.mark.parametrize(
    ("template", "turns"),
    [
        (CHATML, ["Hello!<|im_end|>", "\n Well. <|im_end|>", "And you?<|im_end|>"]),
        (LLAMA3, ["Hello!<|eot_id|>", "Well.<|eot_id|>", "And you?<|eot_id|>"]),
    ],
    ids=["chatml", "llama3"],
)
def test_each_turn_is_learned_as_the_template_writes_it_and_closed(template: str, turns: list[str]) -> None:
    tokenizer = tokenizer_of(template)
    assert learned(tokenizer, LONG, "all") == turns
    assert learned(tokenizer, LONG, "last") == turns[-1:]


def test_a_turn_without_words_is_learned_as_its_end() -> None:
    talk = Conversation(said("hi", "", "hm"))
    assert learned(tokenizer_of(CHATML), talk, "all") == ["<|im_end|>", "And you?<|im_end|>"]


def test_a_template_that_refuses_system_learns_conversations_without_one() -> None:
    tokenizer = tokenizer_of(NO_SYSTEM)
    assert learned(tokenizer, Conversation(LONG.messages[1:]), "all")[0] == "Hello!<|im_end|>"
    with pytest.raises(ModelError, match="refuses a message by system"):
        learned(tokenizer, LONG, "last")


def test_a_template_that_merges_system_into_the_first_question_learns_every_turn() -> None:
    turns = [" Hello!</s>", " \n Well. </s>", " And you?</s>"]
    assert learned(tokenizer_of(MERGED), LONG, "all") == turns


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (DROPPED, "example 1 of 1: the chat template writes message 3 otherwise once more is said"),
        (WORDS_ONLY, "example 1 of 1: no end of turn closes message 3"),
        (None, "example 1 of 1: without a chat template no token ends an earlier turn"),
        (DEAF, "leaves out or repeats what a message by system says"),
    ],
    ids=["not prefix-consistent", "no end", "no template", "deaf"],
)
def test_what_cannot_be_told_apart_is_refused_in_one_line(template: str | None, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as refusal:
        learned(tokenizer_of(template), LONG, "all")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("template", [CHATML, LLAMA3, MERGED, DROPPED, WORDS_ONLY, None])
@pytest.mark.parametrize("turns", ["last", "all"])
def test_the_prompt_of_a_training_is_that_of_generation_and_each_turn_was_once_asked_for(
    template: str | None, turns: str
) -> None:
    tokenizer = tokenizer_of(template)
    consistent = template in (CHATML, LLAMA3, MERGED)
    if turns == "all" and not consistent:
        pytest.skip("refused, as another test shows")
    examples = frame(TALK, LONG)
    encoded = sft(turns).encode(tokenizer, examples)  # type: ignore[arg-type]
    for talk, example in zip((TALK, LONG), encoded, strict=True):
        ids, labels = example.tensors["input_ids"].tolist(), example.tensors["labels"].tolist()
        prompt = prompt_ids(tokenizer, talk)
        assert ids[: len(prompt)] == prompt
        assert labels[len(prompt) :] == ids[len(prompt) :]
        for place in [i for i, one in enumerate(talk.messages) if one.role == "assistant"]:
            rendered_text = prompt_ids(tokenizer, Conversation(talk.messages[:place]))
            taught = labels[len(rendered_text)] != IGNORED and labels[len(rendered_text) - 1] == IGNORED
            assert taught == (turns == "all")
            assert not consistent or ids[: len(rendered_text)] == rendered_text
    for pair, example in zip(encode_dpo(tokenizer, examples), encoded, strict=True):
        assert pair.tensors["chosen_ids"].tolist() == example.tensors["input_ids"].tolist()


def test_the_words_of_a_whole_training_are_what_the_template_writes() -> None:
    tokenizer = tokenizer_of(CHATML)
    (example,) = sft().encode(tokenizer, frame(LONG))
    whole = [*json.loads(LONG.json), {"role": "assistant", "content": "And you?"}]
    assert tokenizer.decode(example.tensors["input_ids"]) + "\n" == templated(tokenizer, whole)


def test_a_token_that_reaches_over_the_beginning_of_a_turn_is_learned_with_it() -> None:
    """As in Qwen's tokenizers, in which two line breaks are one token."""
    tokenizer = byte_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens(["\n\n"])
    talk = Conversation(said("hi", "\nHello!", "hm"))
    assert learned(tokenizer, talk, "all") == ["\n\nHello!<|im_end|>", "And you?<|im_end|>"]


def test_hyperparameters_of_the_last_turn_are_written_as_they_always_were() -> None:
    assert "turns" not in Hyperparameters().model_dump_json()
    assert Hyperparameters(turns="all").model_dump(mode="json")["turns"] == "all"


def test_preferences_are_between_last_turns() -> None:
    with pytest.raises(BadInput, match="turns=all is for objective sft"):
        get_objective("dpo", Hyperparameters(turns="all"))


def test_conversations_and_texts_meet_in_one_batch_and_in_one_training(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", max_position_embeddings=512)
    examples = frame(LONG, TALK, Conversation(said("a", "b", "c"))).with_columns(
        messages=pl.when(pl.int_range(pl.len()) < 2).then("messages")
    )
    assert [isinstance(one, str) for one in prompts_of(examples, "prompt")] == [False, False, True]
    job = TrainingJob(
        training_id="train-00000-conversations",
        snapshot_id=freeze(tmp_path / "snapshot", examples),
        snapshot=str(tmp_path / "snapshot"),
        base_checkpoint="base",
        base=str(base),
        output=str(tmp_path / "out"),
        hyperparameters=Hyperparameters(epochs=1, batch_size=3, turns="all"),
    )
    result = train(job)
    tokenizer, model = load_tokenizer(base), load_model(base)
    objective = sft("all")
    encoded = objective.encode(tokenizer, examples)
    batch = collate(encoded, objective.padding, model.device)
    units = sum(one.units for one in encoded)
    ledger = pl.read_parquet(tmp_path / "out" / "steps.parquet")
    assert ledger["loss"][0] == pytest.approx(objective.loss(model, batch).total.item() / units, rel=1e-5)
    assert result.steps == ledger.height == 1


def test_a_conversations_pair_has_the_loss_of_its_rendered_text(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", max_position_embeddings=512)
    tokenizer, model = load_tokenizer(base), load_model(base)
    objective = dpo(Dpo())
    (example,) = objective.encode(tokenizer, frame(LONG))
    ids = prompt_ids(tokenizer, LONG)
    for side in ("chosen", "rejected"):
        labels = example.tensors[f"{side}_labels"].tolist()
        assert labels[: len(ids)] == [IGNORED] * len(ids)
        assert IGNORED not in labels[len(ids) :]
    batch: Callable[..., Any] = collate
    assert objective.base_logprobs is not None
    assert objective.base_logprobs(model, batch([example], objective.padding, model.device)).shape == (1, 2)
