"""The tests' own code, changed where it has to mean something else here: calls that change their arguments,
and statements that count one by one.

A call changes the test's own list where the tests look at that afterwards: the call's value is not used (or
is asked to be None), or the list is compared with something that does not come from it. Elsewhere arguments
go by value, so that a candidate cannot change what an expected value is computed from.
"""

from __future__ import annotations

import ast

IN_PLACE, HELD, MISSED = "__ratchet_in_place__", "__ratchet_held__", "__ratchet_missed__"


def mark_in_place(tree: ast.Module) -> ast.Module:
    """The tests with such calls marked: f(a) becomes IN_PLACE(f)(a)."""
    compared, computed = _comparisons(tree)
    for node in ast.walk(tree):
        call, free = _lone_call(node)
        names = {each.id for each in call.args if isinstance(each, ast.Name)} if call else set()
        if call is None or not names or names & computed or not (free or names & compared):
            continue
        call.func = ast.copy_location(_call(IN_PLACE, [call.func]), call.func)
    return ast.fix_missing_locations(tree)


def _lone_call(node: ast.AST) -> tuple[ast.Call | None, bool]:
    """The call that a statement is, and whether its value is not used at all."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return node.value, True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return node.value, False
    if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
        left, right = node.test.left, node.test.comparators[0]
        if isinstance(left, ast.Call) and isinstance(right, ast.Constant) and right.value is None:
            return left, True
    return None, False


def _comparisons(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names that stand on one side of a comparison, and names that stand on both."""
    compared, computed = set[str](), set[str]()
    for node in ast.walk(tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            sides = node.args[:2] if node.func.attr.startswith("assert") else []
        names = [{each.id for each in ast.walk(side) if isinstance(each, ast.Name)} for side in sides]
        for place, side in enumerate(names):
            others = set().union(*names[:place], *names[place + 1 :])
            computed |= side & others
            root = sides[place]
            while isinstance(root, ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root.id not in others:
                compared.add(root.id)
    return compared, computed


def count_statements(body: list[ast.stmt]) -> int:
    """Wraps each statement with an assert in it, so that one that fails is noted and the next one runs.

    Returns how many there are; the body is changed.
    """
    count = 0
    for place, statement in enumerate(body):
        defines = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if defines or not any(isinstance(each, ast.Assert) for each in ast.walk(statement)):
            continue
        handler = ast.ExceptHandler(
            ast.Name("Exception", ast.Load()),
            "error",
            [ast.Expr(_call(MISSED, [ast.Name("error", ast.Load())]))],
        )
        body[place] = wrapped = ast.copy_location(
            ast.Try([statement], [handler], [ast.Expr(_call(HELD, []))], []), statement
        )
        for part in (wrapped, wrapped.handlers[0].body[0], wrapped.orelse[0]):
            part._ratchet_made = True  # type: ignore[attr-defined]
        count += 1
    return count


def _call(name: str, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), arguments, [])
