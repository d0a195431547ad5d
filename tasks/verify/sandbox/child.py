"""What runs inside: locks this process on one rung, runs the candidate, and answers calls by encoded values.

Started as `python -I -S -B child.py ROOT WORKER` with an empty environment, requests on descriptor 3 and
replies on 4. The first request is the order (a rung, limits, the program): one reply says that the lock
holds, a second that the program is loaded and what its names are. Every later request asks something of it:
a call, an attribute, the next values. While a call runs, this process may ask for a function of the tests to
be called, and is asked in turn. Each reply repeats a nonce. This process knows no expected value, so
subverting it gains a candidate nothing.
"""

from __future__ import annotations

import marshal
import os
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing these would take longer than many a candidate
    from typing import Any

REQUESTS, REPLIES = 3, 4
_SIGNALLED = 128  # added to the signal that ended the candidate, in the exit code of the process that waits

_exit = os._exit


def main(worker: int) -> None:
    """Obeys one order; never returns."""
    os.closerange(REPLIES + 1, 1024)
    privileges.die_with_parent(worker)
    order = marshal.loads(channel.receive(REQUESTS))  # noqa: S302 - the referee's bytes
    if any(word in order["text"] or word in order["prompt"] for word in ("async", "hread")):
        from tasks.verify.sandbox import concurrency  # behind the lock it cannot be read

        order["concurrency"] = concurrency
    try:
        _descend(order)
        rungs.lock(order["rung"], order["limits"], order["view"])
    except BaseException as error:
        reply(order["nonce"], "broken", encode.encode(f"{type(error).__name__}: {error}"[:200]))
        _exit(1)
    reply(order["nonce"], "value", "null")
    loaded = _load(order)
    while True:
        loaded.answer(marshal.loads(channel.receive(REQUESTS)))  # noqa: S302


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


def _load(order: dict[str, Any]) -> served.Served:
    """Runs the program's own statements, as a module that is not `__main__`; or only compiles a whole one."""
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    prompt, text, names = order["prompt"], order["text"], order["wanted"]
    if "concurrency" in order:
        order["concurrency"].prepare(f"{prompt}\n{text}")
    rungs.admit_packages(order["view"])
    sys.path[:] = [each for each in sys.path if each != order["root"]]
    for name in [each for each in sys.modules if each.startswith("tasks")]:
        del sys.modules[name]
    program_ = served.Served(module.__dict__, names)

    vars(sys.modules["builtins"]).update(exit=sys.exit, quit=sys.exit)

    def run() -> list[Any]:
        codes = [compile(each, "<candidate>", "exec") for each in program.sources(prompt, text, names)]
        if order["whole"]:
            program_.codes = codes
            return []
        for code in codes:
            exec(code, module.__dict__)  # noqa: S102 - what all this is for
        return program_.names()

    reply(order["load_nonce"], *program_.outcome(run))
    return program_


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from tasks.verify.sandbox import channel, encode, privileges, program, rungs, served
    from tasks.verify.sandbox.served import reply

    try:
        main(int(sys.argv[2]))
    except channel.Closed:
        _exit(0)
    except BaseException:
        _exit(1)
