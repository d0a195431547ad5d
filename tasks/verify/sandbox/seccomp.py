"""The seccomp filter: an allow-list of system calls, for this machine's own architecture only.

Whatever is not on the list (processes, threads, sockets, signals, exec, ptrace, io_uring, mounts, keys,
modes and owners of files, ...) is answered with EPERM, so that a candidate sees an ordinary error. A call
of another architecture, or of x86's x32, kills. A candidate that needs threads or a child process fails
here.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from tasks.verify.sandbox import syscalls

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_FROM, _RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF: LD|W|ABS, JMP|JEQ|K, ...
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_UNKNOWN = 0x00050000 | errno.ENOSYS

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

# Setting an owner or O_ASYNC would let the kernel send a signal on the candidate's behalf.
_FCNTL = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
_IOCTL = (0x5401, 0x5450, 0x5451)  # TCGETS (isatty), FIONCLEX, FIOCLEX

_MODE_FILTER = 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install() -> None:
    """Locks this process, for good, to the allow-list. Needs no_new_privs; OSError where it is refused."""
    code = build()
    program = _Program(len(code) // 8, code)
    syscalls.syscall("seccomp", _MODE_FILTER, 0, ctypes.byref(program))


def build() -> bytes:
    """The filter for this machine as BPF instructions, eight bytes each; OSError on an unknown machine."""
    if syscalls.MACHINE not in _AUDIT_ARCH:
        raise OSError(errno.ENOSYS, f"no seccomp allow-list for {syscalls.MACHINE}")
    lines = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _AUDIT_ARCH[syscalls.MACHINE], 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    if syscalls.MACHINE == "x86_64":
        lines += [_instruction(_JUMP_FROM, _X32_BIT, 0, 1), _instruction(_RETURN, _KILL)]
    for name in syscalls.ALLOWED:
        lines += _when(name, [_instruction(_RETURN, _ALLOW)])
    lines += _when("clone3", [_instruction(_RETURN, _UNKNOWN)])
    lines += _when("fcntl", _one_of(1, _FCNTL))
    lines += _when("ioctl", _one_of(1, _IOCTL))
    lines += _when("prlimit64", _read_only_prlimit())
    return b"".join([*lines, _instruction(_RETURN, _REFUSE)])


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _when(name: str, then: list[bytes]) -> list[bytes]:
    """Instructions run where the loaded number is this call's; `then` must end in a return."""
    call = syscalls.number(name)
    return [] if call is None else [_instruction(_JUMP_EQUAL, call, 0, len(then)), *then]


def _one_of(argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Allows the call where the low half of an argument, all the kernel reads, has one of the values."""
    lines = [_instruction(_LOAD, _ARGUMENTS + 8 * argument)]
    for value in values:
        lines += [_instruction(_JUMP_EQUAL, value, 0, 1), _instruction(_RETURN, _ALLOW)]
    return [*lines, _instruction(_RETURN, _REFUSE)]


def _read_only_prlimit() -> list[bytes]:
    """Allows prlimit64 on this process itself, without a new limit: pid 0 and a null pointer."""
    lines = []
    for offset in (_ARGUMENTS, _ARGUMENTS + 16, _ARGUMENTS + 20):
        lines += [
            _instruction(_LOAD, offset),
            _instruction(_JUMP_EQUAL, 0, 1, 0),
            _instruction(_RETURN, _REFUSE),
        ]
    return [*lines, _instruction(_RETURN, _ALLOW)]
