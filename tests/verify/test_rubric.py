"""Promises of rubrics: what cannot work is refused by name, and a changed word is another verifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schemas.errors import RecipeError
from tasks.verify.judge.rubric import ROOM, load_rubric, parse_rubric, rubric_names


@pytest.mark.parametrize("name", rubric_names())
def test_every_rubric_that_comes_along_loads_under_its_files_name(name: str) -> None:
    rubric = load_rubric(name)
    assert rubric.name == name
    assert rubric.label.startswith(f"{name}-{rubric.version}-")
    assert load_rubric(ROOM / f"{name}.yaml") == rubric


def test_any_changed_value_changes_the_label() -> None:
    rubric = load_rubric("additive")
    labels = {rubric.label, rubric.with_votes(5).label}
    for change in ({"prompt": rubric.prompt + " "}, {"temperature": 0.6}, {"pass_from": 3}, {"version": 2}):
        labels.add(parse_rubric(rubric.model_dump() | change).label)
    assert len(labels) == 6


def test_slots_are_filled_once_so_that_braces_in_a_text_stay_text() -> None:
    rubric = load_rubric("additive")
    prompt = rubric.render({"prompt": "| {answer}", "answer": "| {reference}"}, "| {prompt}")
    assert "Request:\n| {answer}\n" in prompt
    assert "Answer:\n| {reference}\n" in prompt
    assert "for comparison:\n| {prompt}\n" in prompt
    assert "for comparison" not in rubric.render({"prompt": "| x", "answer": "| y"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": "{prompt}\nScore: 3"}, "needs each of {answer}, {prompt}"),
        ({"prompt": "{prompt}\n{answer}\n{answer}\nScore: 3"}, "once"),
        ({"prompt": "{prompt}\n{answer}\n"}, "form of the verdict"),
        ({"menu": ["0", "good"]}, "cannot hold 0, good"),
        ({"pass_from": None}, "pass_from"),
        ({"votes": 1}, "cannot come of 1"),
        ({"vote": 1}, "vote"),
        ({"kind": "ranking"}, "kind"),
    ],
)
def test_a_rubric_that_cannot_work_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(load_rubric("story").model_dump(mode="json") | change))
    with pytest.raises(RecipeError) as refused:
        load_rubric(file)
    assert words in str(refused.value)
    assert "mine.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"), [("- a", "keys and values"), ("{", "parse"), (None, "No such file")]
)
def test_a_file_that_is_no_rubric_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RecipeError, match=words):
        load_rubric(file)
    with pytest.raises(RecipeError, match="choose one of additive"):
        load_rubric("../story")
