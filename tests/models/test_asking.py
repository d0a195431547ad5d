"""Promises of what stands around a question: replaced to the character, said by whom it is said."""

from __future__ import annotations

import pytest

from schemas.errors import RecipeError
from schemas.recipes.asking import Asking, Shot
from schemas.recipes.parsing import validated
from schemas.recipes.rft import Rft
from tasks.models.asking import put
from tasks.models.conversation import Conversation, Message, messages_of
from tasks.models.rendering import plain_prompt

SHOTS = (Shot(question="1 + 1?", answer="#### 2"), Shot(question="{question}", answer="{prompt}"))
TALK = Conversation((Message("user", "a"), Message("assistant", "b"), Message("user", "c")))


def said(prompt: object) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in messages_of(prompt)]  # type: ignore[arg-type]


def test_a_question_is_its_own_where_nothing_stands_around_it() -> None:
    assert put("x", Asking()) == "x"
    assert put(TALK, Asking(shots_as="text")) is TALK


@pytest.mark.parametrize("field", ["{question}", "{prompt}"])
def test_a_template_is_filled_to_the_character_and_never_evaluated(field: str) -> None:
    hostile = "{0.__class__} {prompt} {question} %s \\1 {{x}}"
    assert put(hostile, Asking(template=f"{{a}} {field} $x {{}}")) == f"{{a}} {hostile} $x {{}}"
    assert said(put(TALK, Asking(template=f"<{field}>")))[-1] == ("user", "<c>")
    assert said(put(TALK, Asking(template=f"<{field}>")))[0] == ("user", "a")


def test_examples_are_earlier_turns_behind_the_system_message() -> None:
    asking = Asking(system="Be brief.", template="Q: {question}", shots=SHOTS)
    shots = [
        ("user", "Q: 1 + 1?"),
        ("assistant", "#### 2"),
        ("user", "Q: {question}"),
        ("assistant", "{prompt}"),
    ]
    assert said(put("2 + 2?", asking)) == [("system", "Be brief."), *shots, ("user", "Q: 2 + 2?")]
    own = Conversation((Message("system", "Mine."), *TALK.messages))
    assert said(put(own, asking)) == [
        ("system", "Mine."),
        *shots,
        ("user", "a"),
        ("assistant", "b"),
        ("user", "Q: c"),
    ]


def test_examples_as_text_are_a_plain_prompt_or_go_by_the_template() -> None:
    plain = put("2 + 2?", Asking(shots=SHOTS[:1], shots_as="text"))
    assert plain_prompt(plain) == "Question: 1 + 1?\nAnswer: #### 2\n\nQuestion: 2 + 2?\nAnswer:"
    asking = Asking(shots=SHOTS[:1], shots_as="text", template="Q: {question}\nA:")
    assert put("2 + 2?", asking) == "Q: 1 + 1?\nA: #### 2\n\nQ: 2 + 2?\nA:"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"prompts": {"template": "no field"}}, "once, where the question stands"),
        ({"prompts": {"template": "{question} {prompt}"}}, "once, where the question stands"),
        ({"prompts": {"system": ""}}, "at least 1 character"),
        (
            {
                "prompts": {"few_shots": [{"question": "q", "answer": "a"}]},
                "training": {"turns": "all"},
            },
            "training.turns must be last with prompts.few_shots as turns",
        ),
    ],
    ids=["none", "two", "empty", "turns"],
)
def test_what_cannot_be_asked_is_refused(values: dict[str, object], why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        validated(Rft, values, "recipe")
