"""How plain values become a recipe: files, settings, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from schemas.errors import RecipeError
from schemas.recipes.shared import Recipe

R = TypeVar("R", bound=Recipe)


def validated(kind: type[R], values: Mapping[str, Any], origin: str) -> R:
    """Plain values as a recipe of a kind; a RecipeError names the first wrong key and what is allowed."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_explain(error)}") from None


def load_recipe(path: Path) -> dict[str, Any]:
    """The plain values of a YAML (or JSON) recipe file, not validated yet."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"recipe file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).replace("\n", " ")
        raise RecipeError(f"recipe file {path} does not parse: {first}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"recipe file {path} must hold keys and values, not a {type(values).__name__}")
    return values


def with_value(values: dict[str, Any], dotted: str, text: str) -> dict[str, Any]:
    """`values` with one dotted key (such as `training.epochs`) set to a YAML scalar."""
    head, _, rest = dotted.partition(".")
    if not rest:
        try:
            return values | {head: yaml.safe_load(text)}
        except yaml.YAMLError:
            raise RecipeError(f"{dotted}={text}: the value does not parse") from None
    inner = values.get(head) or {}
    if not isinstance(inner, dict):
        raise RecipeError(f"{dotted}: {head} is a single value, it has no key {rest}")
    return values | {head: with_value(inner, rest, text)}


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "recipe"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {where}{more}"
    message = first["msg"].removeprefix("Value error, ")
    problem = f"{where}: {message[:1].lower()}{message[1:]}"
    secret = where.endswith((".url", ".key_variable"))  # a password in a URL, a key in a name's place
    if secret or isinstance(first["input"], Mapping):
        return f"{problem}{more}"
    return f"{problem}, not {_shown(first['input'])}{more}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
