"""Which recipe a run uses: a file's values, the loop's last recipe, the tutor's own, or the paper's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tutor
from flows.recipes.rooms import ROOMS, AnyRecipe, parse_recipe
from schemas.errors import RecipeError
from schemas.recipes.parsing import load_recipe, with_value
from schemas.recipes.shared import Prompts
from warehouse.lake import Lake
from warehouse.loops import fold
from warehouse.store.open import open_store


def chosen_recipe(
    recipe: str,
    lake: str,
    loop: str,
    model: Path | None,
    prompts: Path | None,
    eval_prompts: Path | None,
    settings: tuple[str, ...],
    endpoint: str | None = None,
    endpoint_model: str | None = None,
    engine: str | None = None,
    columns: str | None = None,
) -> AnyRecipe:
    """The validated recipe of a run; a RecipeError or PromptFileError of one line where it is none."""
    values, origin = own = _values(recipe, lake, loop, model)
    for key, text in _prompt_values(prompts, eval_prompts, columns).items():
        values = with_value(values, f"prompts.{key}", json.dumps(text, ensure_ascii=False))
    if endpoint is not None or endpoint_model is not None:
        values = _with_endpoint(values, endpoint, endpoint_model)
    if engine is not None:
        values = _with_engine(values, engine)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {setting}: give KEY=VALUE, such as training.epochs=2")
        values = with_value(values, key, text)
    try:
        return parse_recipe(values, origin=origin)
    except RecipeError:
        parse_recipe(own[0], origin=origin)  # raises where the recipe itself is at fault
        return parse_recipe(values, origin="what was given with the recipe")


@dataclass(frozen=True)
class TutorsOwn:
    """What the tutor's own values of a recipe begin from: a model's folder, perhaps a constitution's name."""

    base: Path
    constitution: str | None


def tutors_own(recipe: str) -> TutorsOwn | None:
    """What a recipe's loops begin from on the tutor; None where no recipe has this name."""
    if recipe not in ROOMS:
        return None
    values = parse_recipe(load_recipe(tutor.RECIPES / f"{recipe}.yaml"))
    return TutorsOwn(ROOMS[recipe].base(values), getattr(values, "constitution", None))


def given_prompts(
    prompts: Path | None,
    eval_prompts: Path | None,
    columns: str | None,
    template_kwargs: str | None = None,
    end_of_turn: str | None = None,
) -> Prompts:
    """Where prompts come from and how turns are written, as given on the command line; RecipeError of one
    line.
    """
    if prompts is None and (eval_prompts is not None or columns is not None):
        raise RecipeError("--eval-prompts and --columns go with --prompts")
    values: dict[str, Any] = {**_prompt_values(prompts, eval_prompts, columns)}
    if template_kwargs is not None:
        values = with_value(values, "chat_template_kwargs", template_kwargs)
    if end_of_turn is not None:
        values["end_of_turn"] = end_of_turn
    return parse_recipe({"prompts": values}, origin="what was given").prompts


def _prompt_values(prompts: Path | None, eval_prompts: Path | None, columns: str | None) -> dict[str, str]:
    """The recipe values for where prompts come from, as far as they were given."""
    paths = {"path": prompts, "eval_path": eval_prompts}
    values = {name: str(path.resolve()) for name, path in paths.items() if path is not None}
    return values if columns is None else values | {"columns": columns}


def _values(recipe: str, lake: str, loop: str, model: Path | None) -> tuple[dict[str, Any], str]:
    """The plain values a run starts from, and where they come from."""
    if recipe not in ROOMS:
        path = Path(recipe)
        if path.suffix not in (".yaml", ".yml", ".json") and not path.is_file():
            raise RecipeError(f"no recipe named {recipe!r}; there is: {', '.join(ROOMS)}, or a YAML file")
        return load_recipe(path), str(path)
    if open_store(lake).entry("lake.json") is not None:
        state = fold(Lake(lake), loop)
        last = state.last_recipe if state is not None else None
        if last is not None and last["recipe"] == recipe:
            return last, f"the last recipe of loop {loop}"
    if model is None:
        own = tutor.RECIPES / f"{recipe}.yaml"
        return load_recipe(own), str(own)
    return {"recipe": recipe}, recipe


def _with_engine(values: dict[str, Any], kind: str) -> dict[str, Any]:
    """The values with an engine of a kind; one that is of the kind already keeps its settings."""
    before = values.get("engine")
    same = isinstance(before, dict) and before.get("kind", "embedded") == kind
    return values if same else values | {"engine": {"kind": kind}}


def _with_endpoint(values: dict[str, Any], url: str | None, model: str | None) -> dict[str, Any]:
    """The values with an endpoint as engine: a new one, or the earlier one with another URL or model."""
    before = values.get("engine")
    settings = before if isinstance(before, dict) and before.get("kind") == "endpoint" else {}
    options = {"url": url, "model": model}
    engine = settings | {"kind": "endpoint"} | {name: one for name, one in options.items() if one is not None}
    for name, option in (("url", "--endpoint URL"), ("model", "--endpoint-model NAME")):
        if name not in engine:
            raise RecipeError(f"an endpoint needs its URL and the model's name there: give {option}")
    return values | {"engine": engine}
