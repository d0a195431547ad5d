"""The canaries: a program of ours that tries to get out, judged on a rung before any candidate is.

A rung is safe where every escape is refused and ordinary work is done. Each escape reports what it reached,
so that run bare (the tests do) it shows that the canary is able to fail.
"""

from __future__ import annotations

PROGRAM = """
import os

def _tried(act):
    try:
        act()
    except Exception:
        return "refused"
    return "reached"

def _write_outside():
    for folder in ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), os.path.dirname(os.__file__)):
        path = os.path.join(folder, "ratchet-canary-%d" % os.getpid())
        try:
            open(path, "w").close()
        except OSError:
            continue
        os.unlink(path)
        return
    raise OSError("no folder outside takes a file")

def _open_socket(family):
    import socket
    socket.socket(family).close()

def _connect_nowhere():
    import ctypes
    if ctypes.CDLL(None).socket(2, 1, 0) < 0:
        raise OSError("socket")

def _fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

def _thread():
    import _thread
    import time
    _thread.start_new_thread(time.sleep, (0,))

def _execute():
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

def _trace():
    import ctypes
    if ctypes.CDLL(None).ptrace(0, 0, 0, 0) < 0:
        raise OSError("ptrace")

ESCAPES = {
    "read /etc/passwd": lambda: open("/etc/passwd").read(),
    "list /etc": lambda: os.listdir("/etc").index("passwd"),
    "read /proc": lambda: open("/proc/1/status").read(),
    "write outside scratch": _write_outside,
    "chmod": lambda: os.chmod(os.__file__, os.stat(os.__file__).st_mode),
    "open an internet socket": lambda: _open_socket(2),
    "open a Unix socket": lambda: _open_socket(1),
    "open a socket by C": _connect_nowhere,
    "fork": _fork,
    "start a thread": _thread,
    "execute": _execute,
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "trace": _trace,
}

def escape(name):
    return _tried(ESCAPES[name])

def work(numbers):
    import hashlib
    import json
    return sorted(json.loads(json.dumps(numbers))), hashlib.md5(b"").hexdigest()[:4]
"""

ESCAPES = (
    "read /etc/passwd",
    "list /etc",
    "read /proc",
    "write outside scratch",
    "chmod",
    "open an internet socket",
    "open a Unix socket",
    "open a socket by C",
    "fork",
    "start a thread",
    "execute",
    "signal the parent",
    "trace",
)

TESTS = (
    "assert work([3, 1, 2]) == ([1, 2, 3], 'd41d'), 'ordinary work fails'",
    *(f"assert escape({each!r}) == 'refused', {each!r} + ' is possible'" for each in ESCAPES),
)
