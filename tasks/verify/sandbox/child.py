"""What runs inside: locks this process on one rung, runs the candidate, and answers calls by encoded values.

Started as `python -I -S -B child.py ROOT WORKER` with an empty environment, requests on descriptor 3 and
replies on 4. The first request is the order (a rung, limits, the program): one reply says that the lock
holds, a second that the program is loaded. Every later request is a call. Each reply repeats a nonce. This
process knows no expected value, so subverting it gains a candidate nothing.
"""

from __future__ import annotations

import marshal
import os
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing these would take longer than many a candidate
    from collections.abc import Callable
    from typing import Any

REQUESTS, REPLIES = 3, 4
_SIGNALLED = 128  # added to the signal that ended the candidate, in the exit code of the process that waits

_exit = os._exit


def main(worker: int) -> None:
    """Obeys one order; never returns."""
    os.closerange(REPLIES + 1, 1024)
    privileges.die_with_parent(worker)
    order = marshal.loads(channel.receive(REQUESTS))  # noqa: S302 - the referee's bytes
    try:
        _descend(order)
        rungs.lock(order["rung"], order["limits"], order["view"])
    except BaseException as error:
        _reply(order["nonce"], "broken", encode.encode(f"{type(error).__name__}: {error}"[:200]))
        _exit(1)
    _reply(order["nonce"], "value", "null")
    namespace = _load(order)
    while True:
        nonce, name, arguments, keywords, copies_back = marshal.loads(channel.receive(REQUESTS))  # noqa: S302
        kind, body = _call(namespace, name, arguments, keywords)
        after = _arguments(arguments, keywords) if copies_back and kind == "value" else "null"
        _reply(nonce, kind, body, after)


def _descend(order: dict[str, Any]) -> None:
    """Enters the rung's namespaces and goes on in a child of this process, the first of its PID namespace."""
    privileges.die_first()
    rungs.separate(order["rung"], order["limits"], order["view"])
    privileges.die_with_parent()
    child = os.fork()
    if child:
        os.closerange(REQUESTS, REPLIES + 1)
        status = os.waitpid(child, 0)[1]
        _exit(_SIGNALLED + os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
    privileges.die_with_parent()


def _load(order: dict[str, Any]) -> dict[str, Any]:
    """Runs the program's own statements, as a module that is not `__main__`."""
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    sys.path[:] = [each for each in sys.path if each != order["root"]]
    for name in [each for each in sys.modules if each.startswith("tasks")]:
        del sys.modules[name]
    prompt, text, wanted = order["prompt"], order["text"], order["wanted"]

    def run() -> None:
        for source in program.sources(prompt, text, wanted):
            exec(compile(source, "<candidate>", "exec"), module.__dict__)  # noqa: S102 - what all this is for

    _reply(order["load_nonce"], *_outcome(run))
    return module.__dict__


def _call(
    namespace: dict[str, Any], name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[str, str]:
    if name not in namespace:
        return "missing", encode.encode(name)
    return _outcome(lambda: namespace[name](*arguments, **keywords))


def _outcome(run: Callable[[], object]) -> tuple[str, str]:
    """What came of running the candidate's code: its value, or how it failed, encoded."""
    try:
        return "value", encode.encode(run())
    except encode.Unencodable as error:
        return "odd", encode.encode(str(error)[:200])
    except SystemExit:
        return "exit", "null"
    except BaseException as error:
        return "raise", _exception(error)


def _exception(error: BaseException) -> str:
    try:
        names = [each.__name__ for each in type(error).__mro__][:20]
        return encode.encode([names, str(error)[:200]])
    except BaseException:
        return '["l",["l"],""]'


def _arguments(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> str:
    try:
        return encode.encode((list(arguments), keywords))
    except BaseException:
        return "null"


def _reply(nonce: str, kind: str, body: str, after: str = "null") -> None:
    frame = f'["{nonce}","{kind}",{body},{after}]'.encode("ascii")
    if len(frame) > channel.LARGEST_REPLY:
        frame = f'["{nonce}","odd","a value of {len(frame)} bytes",null]'.encode("ascii")
    channel.send(REPLIES, frame)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from tasks.verify.sandbox import channel, encode, privileges, program, rungs

    try:
        main(int(sys.argv[2]))
    except channel.Closed:
        _exit(0)
    except BaseException:
        _exit(1)
