"""Versioned templates of what a model is asked: YAML files whose label carries a hash of all their values, so
that a changed word is another template in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, ValidationError

from schemas.errors import RecipeError
from schemas.job import Strict
from schemas.labelled import Labelled


class Template(Labelled):
    """What every template says of itself."""

    name: Annotated[str, Field(pattern=r"[a-z0-9][a-z0-9-]{0,40}")]


T = TypeVar("T", bound=Strict)


def template_names(room: Path) -> tuple[str, ...]:
    """The templates that lie in a folder."""
    return tuple(sorted(path.stem for path in room.glob("*.yaml")))


def is_file(name: object) -> bool:
    """Whether a template's name is that of a YAML file."""
    return isinstance(name, str | Path) and Path(name).suffix in (".yaml", ".yml")


def load_template(kind: type[T], room: Path, name: str | Path | Mapping[str, Any]) -> T:
    """The template of a name in `room`, of a YAML file where `name` is a path, or of plain values; a
    RecipeError says what is wrong.
    """
    if isinstance(name, Mapping):
        return parse_template(kind, name, origin="of the recipe")
    path, names = Path(name), template_names(room)
    if not is_file(name):
        path = room / f"{name}.yaml"
        if str(name) not in names:
            what = kind.__name__.lower()
            raise RecipeError(f"no {what} is called {str(name)!r}: choose one of {', '.join(names)}")
    return parse_template(kind, _values(kind, path), origin=str(name))


def parse_template(kind: type[T], values: Mapping[str, Any], origin: str) -> T:
    """A template from plain values."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        what, first = kind.__name__.lower(), error.errors()[0]
        where = ".".join(map(str, first["loc"])) or what
        raise RecipeError(f"{what} {origin}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def _values(kind: type[Strict], path: Path) -> dict[str, Any]:
    what = kind.__name__.lower()
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"{what} {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{what} {path} does not parse: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{what} {path} must hold keys and values")
    return values
