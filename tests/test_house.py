"""Promises of the house: imports only go down, nothing goes in a circle, each floor does its own work."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType

import click
import pytest
import yaml

from flows.cli import COMMANDS, command
from flows.recipes.room import Room
from schemas.recipes.parsing import validated
from tests.conftest import REPOSITORY

FLOORS = ("schemas", "warehouse", "tasks", "flows")  # an import goes to the same floor or one before it
BESIDE = {"tutor": ("schemas", "tasks", "tutor")}
FORBIDDEN = {
    "schemas": {
        "torch",
        "transformers",
        "prefect",
        "duckdb",
        "deltalake",
        "httpx",
        "os",
        "shutil",
        "subprocess",
    },
    "warehouse": {"torch", "transformers", "prefect", "accelerate", "peft", "click"},
    "tasks": {"prefect", "click", "rich"},
}
LONGEST = 300  # lines
DECLARATIONS = {"schemas/tables.py"}  # one list, read from top to bottom


@cache
def sources() -> Mapping[str, ast.Module]:
    """Every module of the house by its dotted name."""
    files = (path for floor in (*FLOORS, *BESIDE) for path in (REPOSITORY / floor).rglob("*.py"))
    trees = {}
    for path in files:
        name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text("utf-8"))
    return trees


def imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports, anywhere in it, as dotted names: a module or a name of one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            yield from (f"{node.module}.{one.name}" for one in node.names)


@cache
def edges() -> Mapping[str, frozenset[str]]:
    """Module to the modules of the house that it imports."""
    known = sources()

    def of(name: str) -> str | None:
        return (
            name if name in known else name.rpartition(".")[0] if name.rpartition(".")[0] in known else None
        )

    return {
        name: frozenset(result for one in imported(tree) if (result := of(one)) and result != name)
        for name, tree in known.items()
    }


def room(module: str) -> str:
    """A module's room: the folder, or the file, right under its floor."""
    return ".".join(module.split(".")[:2])


def circle(graph: Mapping[str, frozenset[str]]) -> list[str]:
    """Names in a circle, where there is one."""
    visited: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in visited:
            return []
        for other in sorted(graph.get(name, ())):
            if cycle := walk(other, [*path, name]):
                return cycle
        visited.add(name)
        return []

    return next((cycle for name in sorted(graph) if (cycle := walk(name, []))), [])


def test_imports_go_to_the_same_floor_or_one_below() -> None:
    allowed = {floor: set(FLOORS[: place + 1]) for place, floor in enumerate(FLOORS)}
    allowed["flows"].add("tutor")
    allowed |= {name: set(below) for name, below in BESIDE.items()}
    up = [
        f"{module} imports {other}"
        for module, others in edges().items()
        for other in others
        if other.split(".")[0] not in allowed[module.split(".")[0]]
    ]
    assert up == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(edges()) == []


@pytest.mark.parametrize("floor", FLOORS)
def test_no_room_of_a_floor_leads_back_to_itself(floor: str) -> None:
    rooms: dict[str, set[str]] = {}
    for module, others in edges().items():
        if module.split(".")[0] == floor and module != floor:
            here = {room(other) for other in others if other.split(".")[0] == floor}
            rooms.setdefault(room(module), set()).update(here - {room(module)})
    assert circle({name: frozenset(others) for name, others in rooms.items()}) == []


def test_a_circle_would_be_found() -> None:
    assert circle({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a")}) == ["a", "b", "c", "a"]
    assert circle({"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}) == []


@pytest.mark.parametrize("floor", FORBIDDEN)
def test_a_floor_keeps_off_what_is_not_its_work(floor: str) -> None:
    faults = [
        f"{module} imports {one}"
        for module, tree in sources().items()
        if module.split(".")[0] == floor
        for one in imported(tree)
        if one.split(".")[0] in FORBIDDEN[floor]
    ]
    assert faults == []


def test_every_file_says_what_it_is_for_and_can_be_read_at_once() -> None:
    for path in (path for floor in (*FLOORS, *BESIDE) for path in (REPOSITORY / floor).rglob("*.py")):
        text, name = path.read_text("utf-8"), path.relative_to(REPOSITORY).as_posix()
        if not text:
            continue
        assert ast.get_docstring(ast.parse(text)), f"{name} does not say what it is for"
        assert name in DECLARATIONS or text.count("\n") <= LONGEST, f"{name} is longer than {LONGEST} lines"


def test_no_init_exports_for_others() -> None:
    for path in (path for floor in FLOORS for path in (REPOSITORY / floor).rglob("__init__.py")):
        tree = ast.parse(path.read_text("utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)], path


def test_every_command_and_flag_has_help() -> None:
    for name in COMMANDS:
        assert command(name).help, name
        for parameter in command(name).params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} --{parameter.name}"


def test_every_module_of_commands_that_has_one_is_in_the_list() -> None:
    folder = REPOSITORY / "flows" / "commands"
    with_one = {path.stem for path in folder.glob("*.py") if "@click.command(" in path.read_text("utf-8")}
    with_one |= {path.stem for path in folder.glob("*.py") if "@click.group(" in path.read_text("utf-8")}
    assert with_one == set(COMMANDS)


def test_help_loads_no_library_that_it_does_not_need() -> None:
    """Libraries are what makes a start slow: each of these takes a tenth of a second or more."""
    asked = (
        "import sys; from flows.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"polars", "pyarrow", "duckdb", "deltalake", "torch", "prefect", "pydantic", "numpy"}


def test_every_command_is_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"ratchet {name}" in readme, f"README.md says nothing of ratchet {name}"


def test_every_list_of_the_house_is_in_the_page_on_adding() -> None:
    page = (REPOSITORY / "docs" / "adding.md").read_text("utf-8")
    lists = ("flows/recipes/rooms.py", "tasks/audit/monitors/registry.py", "tasks/verify/verifier.py")
    others = ("tasks/train/objectives/registry.py", "schemas/tables.py", "warehouse/views", "flows/cli.py")
    for place in (*lists, *others):
        assert place in page, f"docs/adding.md does not say {place}"
        assert (REPOSITORY / place).exists(), f"docs/adding.md names {place}, which is not there"


def test_the_recipe_in_the_page_on_adding_is_one() -> None:
    """Its files, written where they belong, make a recipe that the house would take."""
    page = (REPOSITORY / "docs" / "adding.md").read_text("utf-8")
    code = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    ") or not line)
    files = dict(re.findall(r"^# (\S+/mine\S*)\n(.*?)(?=^# \S+/mine|\Z)", code, re.M | re.S))
    assert list(files) == ["schemas/recipes/mine.py", "flows/recipes/mine/round.py", "tutor/mine.yaml"]
    modules = {name: ModuleType(name) for name in ("schemas.recipes.mine", "flows.recipes.mine.round")}
    with pytest.MonkeyPatch.context() as patch:
        for (name, module), text in zip(modules.items(), files.values(), strict=False):
            patch.setitem(sys.modules, name, module)
            exec(compile("from __future__ import annotations\n" + text, name, "exec"), module.__dict__)
    room = modules["flows.recipes.mine.round"].MINE
    assert isinstance(room, Room)
    assert (
        validated(room.values, yaml.safe_load(files["tutor/mine.yaml"]), "tutor/mine.yaml").recipe == "mine"
    )
