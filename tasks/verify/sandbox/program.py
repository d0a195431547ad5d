"""Finds the program in a model's text: a completion of its prompt or a whole one, bare, fenced, or in prose.

Reasoning before the answer is left out, then the text counts if it is a program; else the last of its fenced
blocks that is one, with what it needs of the blocks before it; else the lines of prose that are code. Runs
in the child, under its limits: compiling is where a hostile text starts.
"""

from __future__ import annotations

_ONLY_AST = 0x400
_MOST_FENCES = 16
_MOST_TRIES = 16
_FILE = "<candidate>"
_THOUGHTS = (
    *(
        (f"<{tag}>", f"</{tag}>")
        for tag in ("think", "thinking", "thought", "reasoning", "reflection", "scratchpad")
    ),
    *(("<|begin_of_thought|>", "<|end_of_thought|>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷")),
)
_LISTS = ("[THINK]", "[BEGIN]", "[PYTHON]")  # which Python takes for lists
_ANSWERS = (
    *((f"<{tag}>", f"</{tag}>") for tag in ("answer", "solution", "code", "output")),
    *(("<|begin_of_solution|>", "<|end_of_solution|>"), ("[BEGIN]", "[DONE]"), ("[PYTHON]", "[/PYTHON]")),
)
_CODE = ("def ", "class ", "import ", "from ", "@", "async def ")


def sources(prompt: str, text: str, wanted: tuple[str, ...]) -> list[str]:
    """The sources to run in turn in one module.

    A text, or a piece of it, that compiles alone and defines a wanted name is a whole program; the prompt
    runs before it, if it compiles, for its imports and helpers. Otherwise the first piece that compiles as
    the prompt's continuation counts, and at last the plain text does. Without a wanted name, whatever
    compiles is the program.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    answer = _answer(text)
    if text.lstrip().startswith(_LISTS):
        text = answer
    pieces = [*dict.fromkeys((text, answer, _dedented(answer), *_blocks(answer)))]
    for piece in pieces:
        if _defines(piece, wanted):
            return _after(prompt, [*_needed(piece, pieces), piece])
    for piece in pieces if prompt else ():
        if piece.strip() and _names(prompt + piece) is not None:
            return [prompt + piece]
    for piece in _in_prose(answer):
        if _defines(piece, wanted):
            return _after(prompt, [piece])
    return [prompt + answer]


def _after(prompt: str, pieces: list[str]) -> list[str]:
    return [prompt, *pieces] if prompt and _names(prompt) is not None else pieces


def _answer(text: str) -> str:
    """What follows the last closed tag of reasoning, and of that what stands in the last tag of an answer."""
    for opening, closing in _THOUGHTS:
        _, tag, after = text.rpartition(closing)
        text = after if tag else text.partition(opening)[0]
    for opening, closing in _ANSWERS:
        before, tag, _ = text.rpartition(closing)
        if tag and opening in before:
            text = before.rpartition(opening)[2]
    return text


def _defines(source: str, wanted: tuple[str, ...]) -> bool:
    names = _names(source)
    if not wanted:
        return bool(names is not None and source.strip())
    return bool(names) and not {*wanted, "Solution"}.isdisjoint(names or ())


def _tree(source: str) -> object:
    try:
        return compile(source, _FILE, "exec", _ONLY_AST)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names(source: str) -> set[str] | None:
    """The names bound by a module's own statements; None where it does not compile."""
    tree = _tree(source)
    if tree is None:
        return None
    names: set[str] = set()
    for statement in tree.body:  # type: ignore[attr-defined]
        names.add(getattr(statement, "name", ""))
        for target in (*getattr(statement, "targets", ()), getattr(statement, "target", None)):
            names.add(getattr(target, "id", ""))
            names |= {getattr(each, "id", "") for each in getattr(target, "elts", ())}
    return names - {""}


def _imported(source: str) -> set[str]:
    """The names that a module's own imports bind."""
    names = set()
    for statement in getattr(_tree(source), "body", ()):
        if type(statement).__name__ in ("Import", "ImportFrom"):
            names |= {(each.asname or each.name).partition(".")[0] for each in statement.names}
    return names


def _dedented(text: str) -> str:
    """The text without the indentation of its first line, where all lines have it."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = first[: -len(first.lstrip())] if first.lstrip() else ""
    if not indent or not all(line.startswith(indent) for line in lines if line.strip()):
        return text
    return "\n".join(line.removeprefix(indent) for line in lines)


def _needed(piece: str, pieces: list[str]) -> list[str]:
    """The other blocks, in the order of the text, that bind a name which this one uses and does not bind."""
    own = _names(piece) or set()
    names_used = _used(piece)
    needed: list[str] = []
    for other in pieces:  # the blocks stand last first
        names = _names(other)
        if other == piece or names is None or names & own or not (names | _imported(other)) & names_used:
            continue
        names_used |= _used(other)
        own |= names
        needed.insert(0, other)
    return needed


def _used(source: str) -> set[str]:
    """The names in a piece of code, as words: more than it uses, never fewer."""
    letters = "".join(each if each.isalnum() or each == "_" else " " for each in source)
    return set(letters.split())


def _blocks(text: str) -> list[str]:
    """The fenced blocks, last first, then what stands outside the fences, in order.

    A fence inside a docstring ends no block: the first closing fence that leaves code which compiles does.
    """
    lines = text.split("\n")
    fences = [place for place, line in enumerate(lines) if line.lstrip(" ").startswith(("```", "~~~"))]
    fences = fences[: 2 * _MOST_FENCES]
    if not fences:
        return []
    blocks: list[str] = []
    outside: list[str] = []
    start = place = 0
    while place < len(fences):
        outside.append("\n".join(lines[start : fences[place]]) + "\n")
        first = fences[place] + 1
        ends = [*fences[place + 1 :], len(lines)]
        indent = lines[fences[place]][: -len(lines[fences[place]].lstrip(" "))]
        tried = ["\n".join(each.removeprefix(indent) for each in lines[first:end]) + "\n" for end in ends]
        chosen = next((i for i, each in enumerate(tried) if each.strip() and _tree(each) is not None), 0)
        blocks.append(tried[chosen])
        start = ends[chosen] + 1
        place += chosen + 2
    outside.append("\n".join(lines[start:]) + "\n")
    return [*reversed(blocks), *outside]


def _in_prose(text: str) -> list[str]:
    """Runs of lines that are code: from a line that begins like it, as far as they compile."""
    lines = text.split("\n")
    starts = [place for place, line in enumerate(lines) if line.startswith(_CODE)]
    starts += [
        place for place, line in enumerate(lines) if line[:1].isspace() and line.lstrip().startswith(_CODE)
    ]
    pieces = []
    whole = lines
    for start in starts[:_MOST_TRIES]:
        indent = whole[start][: -len(whole[start].lstrip())]
        lines = [line.removeprefix(indent) for line in whole] if indent else whole
        end = len(lines)
        for _ in range(_MOST_TRIES):
            piece = "\n".join(lines[start:end]) + "\n"
            try:
                compile(piece, _FILE, "exec", _ONLY_AST)
            except SyntaxError as error:
                end = min(end - 1, start + max(1, (error.lineno or 1)) - 1)
                while end > start and (not lines[end].strip() or lines[end][0].isspace()):
                    end -= 1  # to the beginning of the statement
                if end <= start:
                    break
            except (ValueError, RecursionError, MemoryError):
                break
            else:
                pieces.append(piece)
                break
    return pieces
