"""Promises of constitutions: read whole or refused in one line, hashed, put as turns that nothing forges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import RecipeError
from schemas.recipes.constitution import Constitution
from tasks.critique.asking import critique_prompt, revision_prompt
from tasks.critique.constitution import ROOM, constitution_names, load_constitution
from tasks.models.conversation import Conversation, Message

KIND = {
    "id": "kind",
    "critique": "Is it kind?",
    "revision": "Make it kind.",
    "comparison": "Which is kinder?",
}
TRUE = {"id": "true", "critique": "Is it true?", "revision": "Make it true.", "comparison": "Which is truer?"}
SHOT = {
    "prompt": "Hello",
    "response": "Go away.",
    "principle": "kind",
    "critique": "It is rude.",
    "revision": "Hi!",
}
SMALL: dict[str, Any] = {"name": "small", "version": 1, "principles": [KIND, TRUE], "shots": [SHOT]}


@pytest.mark.parametrize("name", constitution_names())
def test_every_constitution_that_comes_along_loads_under_its_files_name(name: str) -> None:
    constitution = load_constitution(name)
    assert constitution.name == name
    assert load_constitution(ROOM / f"{name}.yaml") == constitution
    assert Constitution.model_validate_json(constitution.model_dump_json()) == constitution


def test_the_one_for_real_models_has_sixteen_principles_each_in_its_own_words_and_examples() -> None:
    constitution = load_constitution("harmless")
    assert len(constitution.principles) == 16
    for part in ("critique", "revision", "comparison"):
        assert len({getattr(one, part) for one in constitution.principles}) == 16
    assert len(constitution.shots) >= 3
    assert all(shot.revision != shot.response for shot in constitution.shots)


def test_a_changed_word_is_another_constitution() -> None:
    labels = {
        load_constitution(SMALL | {"principles": [KIND, TRUE | {"critique": one}]}).label for one in "ab"
    }
    assert len(labels | {load_constitution(SMALL).label}) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"principles": []}, "principles: Tuple should have at least 1 item"),
        ({"principles": [KIND, KIND]}, "two principles have the id kind"),
        ({"principles": [{**KIND, "id": "Kind!"}]}, "principles.0.id"),
        ({"principles": [{**KIND, "weight": 0}]}, "principles.0.weight"),
        ({"principles": [{**KIND, "weight": float("nan")}]}, "principles.0.weight"),
        ({"principles": [{**KIND, "critique": "  \n"}]}, "principles.0.critique"),
        ({"principles": [{**KIND, "critic": "x"}]}, "principles.0.critic"),
        ({"principles": [{"id": "kind"}]}, "principles.0.critique: Field required"),
        ({"principles": [KIND], "shots": [{**SHOT, "principle": "true"}]}, "an example is by true"),
        ({"shots": [{**SHOT, "revision": ""}]}, "shots.0.revision"),
        ({"version": 0}, "version"),
        ({"author": "x"}, "author"),
    ],
)
def test_what_is_no_constitution_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(SMALL | change))
    with pytest.raises(RecipeError) as refused:
        load_constitution(file)
    assert words in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: [", "does not parse"),
        (b"\xff\xfe\x00", "does not parse"),
        (b"- a\n- b\n", "must hold keys and values"),
        (b"", "must hold keys and values"),
    ],
)
def test_a_file_that_holds_none_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        load_constitution(file)
    with pytest.raises(RecipeError, match="No such file"):
        load_constitution(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="no constitution is called 'kindly': choose one of harmless"):
        load_constitution("kindly")


def test_examples_stand_before_as_turns_of_the_same_form_and_the_exchange_goes_on() -> None:
    constitution = load_constitution(SMALL)
    asked = Conversation(
        (
            Message("system", "Be brief."),
            Message("user", "One?"),
            Message("assistant", "1"),
            Message("user", "Two?"),
        )
    )
    critique = critique_prompt(constitution, constitution.principle("true"), asked, "3")
    turns = [(one.role[0], one.content) for one in critique.messages]
    shown = [("u", "Hello"), ("a", "Go away."), ("u", "Is it kind?"), ("a", "It is rude.")]
    own = [("u", "One?"), ("a", "1"), ("u", "Two?"), ("a", "3"), ("u", "Is it true?")]
    assert turns == [("s", "Be brief."), *shown, *own]
    revision = revision_prompt(constitution, constitution.principle("true"), asked, "3", "It is not.")
    turns = [(one.role[0], one.content) for one in revision.messages]
    shown += [("u", "Make it kind."), ("a", "Hi!")]
    assert turns == [("s", "Be brief."), *shown, *own, ("a", "It is not."), ("u", "Make it true.")]
    assert json.loads(revision.json)[0] == {"role": "system", "content": "Be brief."}
