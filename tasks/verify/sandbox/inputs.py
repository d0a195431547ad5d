"""Standard input and output of the candidate: what a test gives it to read, and what it prints.

Runs in the child. A whole program is run once for each input, as `__main__`, in a module of its own.
"""

from __future__ import annotations

import io
import os
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_PRINTED = 4 << 20  # bytes that are kept; what is printed beyond them is an error
_IN_PIPE = 60_000  # bytes that a pipe surely takes without a reader


class _Kept(io.BytesIO):
    def close(self) -> None:
        """A program may close its output; what it has printed stays."""

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > MOST_PRINTED:
            raise OSError(f"more than {MOST_PRINTED} bytes of output")
        return super().write(content)


def feed(text: str) -> None:
    """Makes a text the standard input; also as descriptor 0, for `open(0)`, where it is short enough."""
    content = text.encode("utf-8", "surrogatepass")
    if len(content) <= _IN_PIPE:
        try:
            reader, writer = os.pipe()
            os.write(writer, content)
            os.close(writer)
            os.dup2(reader, 0)
            os.close(reader)
            sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it is the program's
            return
        except OSError:
            pass  # without a descriptor, then
    sys.stdin = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")


def printed(run: Callable[[], Any]) -> tuple[Any, str]:
    """What came of `run`, and what it has printed."""
    output, before = _Kept(), sys.stdout
    sys.stdout = own = io.TextIOWrapper(output, encoding="utf-8", errors="replace", write_through=True)
    try:
        value = run()
    finally:
        sys.stdout = before
        if not own.closed:
            own.flush()
    return value, output.getvalue().decode("utf-8", "replace")


def run_whole(codes: list[Any], text: str) -> str:
    """What a whole program prints for one input; an exit with a status of failure is an error."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    feed(text)

    def run() -> None:
        try:
            for code in codes:
                exec(code, module.__dict__)  # noqa: S102 - what all this is for
        except SystemExit as end:
            if end.code not in (None, 0):
                raise RuntimeError(f"the program exits with {end.code!r:.50}") from None

    return printed(run)[1]
