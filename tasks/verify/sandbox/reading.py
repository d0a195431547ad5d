"""What the reference's tests say, before any of them runs: which names are the candidate's, which imports
are the program itself, and which of their functions a test runner would run.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator

PROGRAM_MODULES = frozenset(
    (
        *("solution", "solutions", "candidate", "program", "submission", "answer", "main", "solve", "task"),
        *("code_under_test", "implementation", "impl", "module", "my_module", "mymodule", "your_module"),
        *("module_under_test", "problem"),
    )
)
"""Modules that tests import their subject from, where no such module can be."""
_ALIASES = frozenset(("np", "numpy", "pd", "pandas", "plt", "scipy", "sp", "sympy", "torch", "tf", "nx"))
PLAYED = frozenset(("pytest",))  # see pytest_words.py

_BUILTINS = frozenset(vars(builtins))
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_GIVEN = frozenset(("__name__", "__file__", "__doc__"))


class Broken(Exception):
    """The tests cannot be used, whatever the program is."""


def parsed(tests: Iterable[str], packages: Iterable[str]) -> tuple[list[ast.Module], dict[str, list[str]]]:
    """The tests' trees without their imports of the program, and those: module to the names taken from it.

    Broken where a test does not compile or imports what is not there.
    """
    known = {*sys.stdlib_module_names, *PLAYED, *packages}
    trees, imports = [], dict[str, list[str]]()
    for place, test in enumerate(tests):
        try:
            tree = ast.parse(test.removeprefix("\ufeff"), file_name(place))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Broken(f"the tests do not compile: {type(error).__name__}: {error}") from error
        trees.append(_Imports(known, imports).visit(tree))
    return trees, imports


def file_name(place: int) -> str:
    """What the test at a place is compiled as."""
    return f"<test {place}>"


class _Imports(ast.NodeTransformer):
    """Takes the imports of the program out, and refuses those of packages that are not there."""

    def __init__(self, known: set[str], taken: dict[str, list[str]]) -> None:
        self.known, self.taken = known, taken

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        rest = []
        for alias in node.names:
            if self._is_program(alias.name):
                self.taken.setdefault(alias.asname or alias.name, [])
            else:
                rest.append(alias)
        return ast.copy_location(ast.Import(rest) if rest else ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if not node.level and not self._is_program(node.module or ""):
            return node
        renamed = [alias for alias in node.names if alias.asname not in (None, alias.name)]
        for alias in renamed:
            self.taken.setdefault(f"={alias.asname}", []).append(alias.name)
        return ast.copy_location(ast.Pass(), node)

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        return node  # tests that may do without it

    def _is_program(self, module: str) -> bool:
        name = module.partition(".")[0]
        if name in self.known:
            return False
        if name not in PROGRAM_MODULES:
            raise Broken(f"the tests need the package {name!r}, which is not among those allowed")
        return True


def free_names(trees: list[ast.Module], taken: dict[str, list[str]]) -> tuple[str, ...]:
    """The names that the tests use and nobody binds: those of the candidate."""
    used: dict[str, None] = {}
    bound = {*_BUILTINS, *_GIVEN}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                used[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            bound.add(node.name or "")
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in taken:
            taken[node.value.id].append(node.attr)
    renamed = [name for alias, names in taken.items() if alias[0] == "=" for name in names]
    attributes = [name for alias, names in taken.items() if alias[0] != "=" for name in names]
    aliases = {alias.removeprefix("=") for alias in taken}
    free = [name for name in used if name not in bound | aliases]
    return tuple(dict.fromkeys([*free, *renamed, *attributes]))


def shadowed_builtins(trees: list[ast.Module]) -> tuple[str, ...]:
    """The built-in functions that every test calls: where the tests call nothing else, one may be tested."""
    called = [
        {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for tree in trees
    ]
    return tuple(sorted(set.intersection(*called) & _BUILTINS)) if called else ()


def innermost(names: Iterable[str], trees: list[ast.Module]) -> list[str]:
    """Those of the names whose calls hold no call of another one: `sum` in `abs(sum(1, 2) - 3)`."""
    names, outer = set(names), set[str]()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            inner = {
                each.func.id
                for argument in node.args
                for each in ast.walk(argument)
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
            }
            outer |= {node.func.id} if inner & (names - {node.func.id}) else set()
    return sorted(names - outer)


def only_attributes(name: str, trees: list[ast.Module]) -> bool:
    """Whether the tests use a name as a module is used: `math.isclose` and never `math(...)`."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    uses = sum(isinstance(node, ast.Name) and node.id == name for node in nodes)
    dotted = sum(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
        for node in nodes
    )
    return uses == dotted


def is_package(name: str, trees: list[ast.Module]) -> bool:
    """Whether a name that nobody binds is a package or a module that the tests forgot to import."""
    known = name in _ALIASES or name in sys.stdlib_module_names
    return known and only_attributes(name, trees)


def top_level_calls(tree: ast.Module) -> set[str]:
    """The names that a test's own statements call, outside the functions and classes that it defines."""
    return {
        node.func.id
        for statement in tree.body
        if not isinstance(statement, _SCOPES)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def named_tests(tree: ast.Module) -> Iterator[str]:
    """The functions and classes of a test that a test runner would find, in order."""
    called = top_level_calls(tree)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            if statement.name.startswith("test") and statement.name not in called:
                yield statement.name
        elif isinstance(statement, ast.ClassDef):
            yield statement.name
