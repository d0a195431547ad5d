"""Finds the program in a model's text: a completion of its prompt or a whole one, bare or fenced.

Runs in the child, under its limits: compiling is where a hostile text starts.
"""

from __future__ import annotations

_ONLY_AST = 0x400
_MOST_FENCES = 16
_FILE = "<candidate>"


def sources(prompt: str, text: str, wanted: tuple[str, ...]) -> list[str]:
    """The sources to run in turn in one module.

    A text, or a fenced block of it, that compiles alone and defines a wanted name is a whole program; the
    prompt runs before it, if it compiles, for its imports and helpers. Otherwise the first piece that
    compiles as the prompt's continuation counts, and at last the plain text does.
    """
    pieces = [text, *_blocks(text)]
    for piece in pieces:
        if _defines(piece, wanted):
            return [prompt, piece] if prompt and _names(prompt) is not None else [piece]
    for piece in pieces if prompt else ():
        if piece.strip() and _names(prompt + piece) is not None:
            return [prompt + piece]
    return [prompt + text]


def _defines(source: str, wanted: tuple[str, ...]) -> bool:
    return not set(wanted).isdisjoint(_names(source) or ())


def _names(source: str) -> set[str] | None:
    """The names bound by a module's own statements; None where it does not compile."""
    try:
        tree = compile(source, _FILE, "exec", _ONLY_AST)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names: set[str] = set()
    for statement in tree.body:
        names.add(getattr(statement, "name", ""))
        for target in getattr(statement, "targets", ()):
            names.add(getattr(target, "id", ""))
    return names


def _blocks(text: str) -> list[str]:
    """The fenced blocks, last first, then what stands outside the fences, in order."""
    pieces: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.lstrip(" ").startswith(("```", "~~~")) and len(pieces) < 2 * _MOST_FENCES:
            pieces.append([])
        else:
            pieces[-1].append(line)
    if len(pieces) == 1:
        return []
    joined = ["\n".join(piece) + "\n" for piece in pieces]
    return [*reversed(joined[1::2]), *joined[0::2]]
