"""The ladder: what a kernel may permit, safest first.

A rung is used only after its canaries (canaries.py) failed to escape; below the last rung nothing runs.

    rung         namespaces  Landlock     seccomp  scratch
    full         all six     1 or later   yes      in memory, capped
    landlock     none        3 or later   yes      none: nothing could cap its size
    namespaces   all six     none         yes      in memory, capped

On every rung: limits, no capability, no_new_privs, death with the parent, private pipes and nothing else
open.
"""

from __future__ import annotations

import os
import sys

from tasks.verify.sandbox import landlock, namespaces, privileges, seccomp

RUNGS = ("full", "landlock", "namespaces")

Limits = dict[str, int]  # cpu_s, memory_bytes, scratch_bytes
View = dict[str, list[str]]  # of the host's files; see `view`

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_LOADER_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_PACKAGES = ("site-packages", "dist-packages")  # a benchmark's own tests may be installed there


def view() -> View:
    """What a program may see of the host's files.

    `readable`: the standard library, and the shared libraries that its modules load. `hidden`: folders of
    installed packages inside these. `granted`: the readable ones taken apart until none holds a hidden one.
    """
    own = (
        os.path.dirname(os.__file__),
        *(os.path.join(each, "lib") for each in (sys.base_prefix, sys.base_exec_prefix)),
    )
    readable = [path for path in dict.fromkeys((*own, *_LIBRARIES, *_LOADER_FILES)) if os.path.exists(path)]
    folders = [each for path in readable for each in (path, *_below(path)) if os.path.isdir(each)]
    hidden = [os.path.join(folder, name) for folder in folders for name in _PACKAGES]
    hidden = [*dict.fromkeys(os.path.realpath(path) for path in hidden if os.path.isdir(path))]
    return {
        "readable": readable,
        "hidden": hidden,
        "granted": [each for path in readable for each in _granted(path, hidden)],
    }


def with_packages(view: View, packages: dict[str, str], folders: list[str]) -> View:
    """The view with installed packages that the user allows: where each lies, and the folders that they
    need."""
    if not packages:
        return view
    return {
        **view,
        "granted": [*view["granted"], *folders],
        "readable": [*view["readable"], *folders],
        "packages": folders,
        "names": [part for pair in packages.items() for part in pair],
    }


def admit_packages(view: View) -> None:
    """Lets this process import the allowed packages, each from its own folder, and nothing beside them."""
    names = view.get("names", [])
    if not names:
        return
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # no thread may be had
    from importlib.util import spec_from_file_location

    places = dict(zip(names[::2], names[1::2], strict=True))

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> object:
            place = places.get(name)
            if place is None:
                return None
            folder = [os.path.dirname(place)] if place.endswith("__init__.py") else None
            return spec_from_file_location(name, place, submodule_search_locations=folder)

    sys.meta_path.append(Finder)  # type: ignore[arg-type]


def _granted(path: str, hidden: list[str]) -> list[str]:
    """The path, or what lies below it without the hidden folders."""
    real = os.path.realpath(path)
    if real in hidden:
        return []
    if not any(each.startswith(real + "/") for each in hidden):
        return [path]
    return [each for inner in _below(path) for each in _granted(inner, hidden)]


def _below(path: str) -> list[str]:
    return [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else []


def separate(rung: str, limits: Limits, view: View) -> None:
    """The part of a rung that comes before the fork: its namespaces. OSError where refused."""
    if rung not in RUNGS:
        raise ValueError(f"no rung is called {rung!r}")
    if rung == "landlock":
        os.chdir("/")
    else:
        namespaces.enter(view["readable"], view["hidden"], limits["scratch_bytes"], view.get("packages", ()))


def lock(rung: str, limits: Limits, view: View) -> None:
    """The part after the fork, in order; afterwards this process can do what a candidate may. OSError where
    refused.
    """
    least = {"full": 1, "landlock": landlock.TRUNCATION_ABI, "namespaces": 0}[rung]
    if landlock.abi() < least:
        raise OSError(f"Landlock {landlock.abi()} here, and rung {rung!r} needs {least}")
    privileges.limit(limits["cpu_s"], limits["memory_bytes"], limits["scratch_bytes"])
    privileges.drop()
    if least:
        alone = rung == "landlock"
        landlock.restrict(view["granted" if alone else "readable"], () if alone else (namespaces.SCRATCH,))
    seccomp.install()


def lock_referee(rung: str, limits: Limits, view: View) -> None:
    """The same for the referee, which writes no file: its tests are data too."""
    privileges.limit(limits["cpu_s"], limits["memory_bytes"], 0)
    privileges.drop()
    if rung != "namespaces":
        landlock.restrict(view["readable"], ())
    seccomp.install()
