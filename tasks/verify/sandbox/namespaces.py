"""User, network, IPC, UTS, PID and mount namespaces: the candidate sees no interface, no other process, and a
file system of library folders (read-only) and one small scratch folder in memory, which dies with it.

Needs the right to make a user namespace, as any user or as root; some distributions and containers refuse it.
"""

from __future__ import annotations

import ctypes
import os

from tasks.verify.sandbox.syscalls import checked, libc, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SCRATCH = "/scratch"

_NEW = 0x10000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x20000000 | 0x00020000
_NOSUID, _NODEV, _NOEXEC, _BIND, _RECURSIVE, _PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_READ_ONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_MOST_FILES = 1024

# The new root is built over /proc: it is always there, and nothing that is bound into it lies below it.
_BUILT_AT = "/proc"


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace"))


def enter(
    readable: Sequence[str], hidden: Sequence[str], scratch_bytes: int, packages: Sequence[str] = ()
) -> None:
    """Moves this process into namespaces of its own, and its later children into a PID namespace.

    It then stands in the scratch folder and sees the readable paths, the hidden folders among them empty but
    for the packages. The process must have one thread. OSError where refused.
    """
    user, group = os.geteuid(), os.getegid()
    checked(libc.unshare(_NEW), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    _mount(None, "/", None, _PRIVATE | _RECURSIVE)
    _mount("root", _BUILT_AT, "tmpfs", _NOSUID | _NODEV | _NOEXEC, "size=1m,mode=755")
    for path in _outermost(readable):
        _bind(path)
    for path in filter(os.path.isdir, (_BUILT_AT + path for path in hidden)):
        _mount("hidden", path, "tmpfs", _NOSUID | _NODEV, "size=4k")
    for path in packages:
        _bind(path)
    for path in filter(os.path.isdir, (_BUILT_AT + path for path in hidden)):
        _make_read_only(path, 0)
    os.mkdir(_BUILT_AT + SCRATCH, 0o700)
    options = f"size={scratch_bytes},nr_inodes={_MOST_FILES},mode=700"
    _mount("scratch", _BUILT_AT + SCRATCH, "tmpfs", _NOSUID | _NODEV | _NOEXEC, options)
    _make_read_only(_BUILT_AT, 0)
    os.chdir(_BUILT_AT)
    syscall("pivot_root", b".", b".")
    checked(libc.umount2(b".", _DETACH), "umount2")
    os.chdir(SCRATCH)


def _outermost(paths: Sequence[str]) -> list[str]:
    """The paths that exist, without those below another one of them."""
    outermost: list[str] = []
    for path in sorted(set(filter(os.path.exists, paths))):
        if not any(os.path.realpath(path).startswith(other + "/") for other in outermost):
            outermost.append(path)
    return outermost


def _bind(path: str) -> None:
    """Shows a path of the host at the same place below the new root, read-only; a link stays a link."""
    target = _BUILT_AT + path
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(path, target, None, _BIND | _RECURSIVE)
    _make_read_only(target, _AT_RECURSIVE)


def _make_read_only(path: str, flags: int) -> None:
    attributes = _Attributes(set=_ATTR_READ_ONLY | _ATTR_NOSUID | _ATTR_NODEV)
    size = ctypes.sizeof(attributes)
    syscall("mount_setattr", _AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), size)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    arguments = [None if each is None else os.fsencode(each) for each in (source, target, kind)]
    code = libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(options) or None)
    checked(code, f"mount {target}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
