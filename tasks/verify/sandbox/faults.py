"""Whose fault an exception in the tests is: the candidate's, where a line on the way has to do with what it
gave, printed, changed or decided; else the tests' own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TypeGuard

from tasks.verify.sandbox import reading

_CAPTURES = frozenset(("capsys", "capfd"))
_CATCHING = frozenset(("suppress", "raises", "assertRaises", "assertRaisesRegex"))
_ERRORS = frozenset(("stderr", "redirect_stderr", "err"))  # which nobody hands on from the candidate


def touched(trees: list[ast.Module], names: Iterable[str]) -> set[str]:
    """The names whose values may come from the candidate: its own, and whatever is computed from them."""
    result = set(names)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    statements = [node for node in nodes if isinstance(node, ast.stmt)]
    if not any({getattr(each, "attr", ""), getattr(each, "id", "")} & _ERRORS for each in nodes):
        result |= _CAPTURES
        result |= {name for statement in statements for name in _recorders(statement)}
    while True:
        before = len(result)
        for statement in statements:
            if mentions(header(statement), result):
                result |= _bound_by(statement, result)
                if isinstance(statement, ast.If | ast.For | ast.While):  # what such a value decides
                    result |= _changed_in(statement)
            elif _catches(statement) and mentions(statement.body, result):  # or an exception does
                result |= _changed_in(statement)
        if len(result) == before:
            return result


def _catches(statement: ast.stmt) -> TypeGuard[ast.Try | ast.With]:
    """Whether a statement goes on after an exception in it: a `try`, `with suppress(...)` and the like."""
    if isinstance(statement, ast.With):
        nodes = [each for item in statement.items for each in ast.walk(item.context_expr)]
        return not _CATCHING.isdisjoint(getattr(each, "attr", getattr(each, "id", "")) for each in nodes)
    return isinstance(statement, ast.Try) and not hasattr(statement, "_ratchet_made")


def _recorders(statement: ast.stmt) -> set[str]:
    """The names that hold what the candidate prints: a StringIO, what stands for standard output."""
    if isinstance(statement, ast.ClassDef):
        return set()
    parameters: list[ast.arg] = []
    parts: list[ast.AST] = []
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        parts, parameters = [*statement.decorator_list], statement.args.args
    else:
        parts = header(statement)
    nodes = [each for part in parts for each in ast.walk(part)]
    names = {
        getattr(each, "id", getattr(each, "attr", getattr(each, "value", None)))
        for each in nodes
        if isinstance(each, ast.Name | ast.Attribute | ast.Constant)
    }
    if not {"StringIO", "stdout", "sys.stdout"} & names:
        return set()
    bound = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return bound | {each.arg for each in parameters}


def header(statement: ast.stmt) -> list[ast.AST]:
    """What a statement itself evaluates, without the statements inside it."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement]  # it is named by what is in it
    return [
        node for node in ast.iter_child_nodes(statement) if not isinstance(node, ast.stmt | ast.ExceptHandler)
    ]


def mentions(nodes: Iterable[ast.AST], names: set[str]) -> bool:
    """Whether one of the names is used in these nodes."""
    return any(
        isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id in names
        for node in nodes
        for each in ast.walk(node)
    )


def _bound_by(statement: ast.stmt, touched: set[str]) -> set[str]:
    """What a statement binds or changes, and the objects whose methods it calls with what is touched."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names = set()
    for node in (each for part in header(statement) for each in ast.walk(part)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            names.add(_root(node))
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and mentions(node.args, touched):
                names.add(_root(node.func))
            if mentions([node.func], touched):  # what the candidate is given, it may change
                names |= {
                    each.id for part in node.args for each in ast.walk(part) if isinstance(each, ast.Name)
                }
    return names - {""}


def _changed_in(statement: ast.stmt) -> set[str]:
    inner = (each for each in ast.walk(statement) if isinstance(each, ast.stmt) and each is not statement)
    return {name for each in inner for name in _changed(each)}


def _changed(statement: ast.stmt) -> set[str]:
    """The names that a statement binds, and those whose methods it calls."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return set()
    names = set()
    for node in (each for part in header(statement) for each in ast.walk(part)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names.add(_root(node.func))
    return names - {""}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_of_the_tests(error: BaseException, trees: list[ast.Module], names: Iterable[str]) -> bool:
    """Whether the tests fail by themselves: none of their lines on the way has to do with the candidate,
    whose `names` are given.
    """
    candidates = touched(trees, names)
    frame, in_tests = error.__traceback__, False
    while frame is not None:
        statements = statements_at(trees, frame.tb_frame.f_code.co_filename, frame.tb_lineno)
        if statements:
            in_tests = True
            decided = isinstance(error, AssertionError) and _is_decided(statements, candidates)
            if decided or mentions(header(statements[-1]), candidates):
                return False
        frame = frame.tb_next
    return in_tests


def _is_decided(statements: list[ast.stmt], names: set[str]) -> bool:
    """Whether the candidate's raising, or not, leads to a statement: what `with raises` holds, or a `try`."""
    *outer, last = statements
    if isinstance(last, ast.With | ast.AsyncWith) and mentions(last.body, names):
        return True
    if any(_catches(each) and mentions(each.body, names) for each in outer):
        return True
    says_nothing = not any(
        isinstance(each, ast.Name) for each in ast.walk(last)
    )  # assert False, after a return
    functions = [each for each in outer if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = (each for function in functions for each in ast.walk(function) if isinstance(each, ast.stmt))
    return says_nothing and any(_catches(each) and mentions(each.body, names) for each in inside)


def statements_at(trees: list[ast.Module], file: str, line: int) -> list[ast.stmt]:
    """The statements that a line of a test belongs to, from the outermost to the innermost."""
    return [
        node
        for place, tree in enumerate(trees)
        if reading.file_name(place) == file
        for node in ast.walk(tree)  # the walk goes inwards
        if isinstance(node, ast.stmt)
        and not hasattr(node, "_ratchet_made")
        and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
