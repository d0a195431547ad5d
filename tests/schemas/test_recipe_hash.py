"""Promises of a recipe's hash: every value of every recipe is in it, save what changes no text."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from flows.recipes.rooms import ROOMS, parse_recipe
from schemas.engine import EFFORT, Endpoint
from schemas.recipes.asking import Shot
from schemas.recipes.constitution import Constitution, CritiqueShot, Principle
from schemas.recipes.distillation import SystemMessages
from schemas.recipes.parsing import with_value
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Recipe

PRINCIPLE = {"id": "kind", "critique": "c", "revision": "r", "comparison": "o"}
GIVEN = {
    Principle: PRINCIPLE,
    CritiqueShot: {"prompt": "p", "response": "r", "principle": "kind", "critique": "c", "revision": "v"},
    Constitution: {"name": "own", "version": 1, "principles": [PRINCIPLE]},
    Endpoint: {"url": "http://localhost:1/v1", "model": "m"},
    Shot: {"question": "q", "answer": "a"},
    SystemMessages: {"name": "own", "version": 1, "messages": ["Say why."]},
}  # what has no default
OUTSIDE = {"accelerate_config", "model_files"}  # where a job runs and models lie, not what is done


def others(value: Any, annotation: Any) -> Iterator[Any]:
    """Values of a field that differ from the one it has, one of each kind that it may be of."""
    for kind in kinds(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if not isinstance(value, kind):
                yield kind(**GIVEN.get(kind, {}))
        elif get_origin(kind) is Literal:
            yield from (one for one in get_args(kind) if one != value)
        elif kind is type(None):
            if value is not None:
                yield None
        elif get_origin(kind) is tuple:
            item = next(others(None, get_args(kind)[0]))
            yield (*value, item) if isinstance(value, tuple) else (item,)
        elif get_origin(kind) is dict:
            yield {**(value or {}), "x": 1}
        elif kind is bool:
            yield not value
        elif kind in (int, float):
            yield kind(value + 1 if isinstance(value, kind) else 1)
        else:
            assert kind is str, f"a field of another kind, {kind}: say here how it may differ"
            yield f"{value or ''}x"


def kinds(annotation: Any) -> Iterator[Any]:
    """What a field may be of, its constraints aside."""
    if get_origin(annotation) is Annotated:
        yield from kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from kinds(one)
    else:
        yield annotation


def changes(value: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Each field below a value: its path, the value around it, and that value with the field changed."""
    for name, field in type(value).model_fields.items():
        now = getattr(value, name)
        for other in others(now, field.annotation):
            changed = value.model_copy(update={name: other})
            yield (*path, name), value, changed
            if isinstance(other, BaseModel):
                for where, before, after in changes(other, (*path, name)):
                    yield where, *(value.model_copy(update={name: one}) for one in (before, after))
        if isinstance(now, BaseModel):
            for where, before, after in changes(now, (*path, name)):
                yield where, *(value.model_copy(update={name: one}) for one in (before, after))


@pytest.mark.parametrize("name", ROOMS)
def test_every_value_of_a_recipe_is_in_its_hash(name: str) -> None:
    recipe: Recipe = ROOMS[name].values()
    walked = set()
    for path, before, after in changes(recipe):
        walked.add(".".join(path))
        effort = not {"engine", "endpoint"}.isdisjoint(path) and not EFFORT.isdisjoint(path)
        outside = path[0] in OUTSIDE or effort
        assert (after.hash == before.hash) == outside, f"{'.'.join(path)} from {before!r} to {after!r}"
    assert {"seed", "training.lora.rank", "training.dpo.beta", "verification.judge.endpoint.url"} <= walked
    assert {"engine.model", "engine.budget.tokens", "engine.dtype", "prompts.difficulties"} <= walked
    assert {path.partition(".")[0] for path in walked} == set(type(recipe).model_fields) - {"recipe"}


def test_recipes_are_told_apart_by_their_hash() -> None:
    assert len({room.values().hash for room in ROOMS.values()}) == len(ROOMS)


def test_a_recipe_that_is_read_back_keeps_its_hash() -> None:
    for room in ROOMS.values():
        assert parse_recipe(room.values().model_dump(mode="json")).hash == room.values().hash
    set_by_hand = parse_recipe(with_value({}, "training.lora.rank", "4"))
    assert set_by_hand.hash != Rft().hash
