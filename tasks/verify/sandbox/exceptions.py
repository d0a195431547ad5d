"""What a candidate's exceptions become in the tests: built-in ones, or classes of the same name made here."""

from __future__ import annotations

import builtins
from typing import Any

_LONGEST_NAME = 100

# Those that end an iteration would end the test's own loops.
_BUILT_IN = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, StopIteration | StopAsyncIteration)
}


class CandidateError(Exception):
    """The candidate raised what is no exception to catch, or one that steers a caller's loop."""


class Exceptions:
    """The classes that stand for the candidate's own, by name, so that tests may name and catch them."""

    def __init__(self) -> None:
        self._made: dict[str, type[Exception]] = {}

    def kind(self, names: list[Any]) -> type[Exception]:
        """The class for a candidate's exception, by the names of its class and bases, nearest first."""
        own = [each for each in names if type(each) is str and len(each) <= _LONGEST_NAME]
        if "Exception" not in own or "StopIteration" in own or "StopAsyncIteration" in own:
            return CandidateError
        base: type[Exception] = next((_BUILT_IN[each] for each in own if each in _BUILT_IN), Exception)
        for name in reversed(own[: next(i for i, each in enumerate(own) if each in _BUILT_IN)]):
            own_class = self._made.get(name)
            if own_class is None:
                own_class = self._made[name] = type(name, (base,), {"__module__": "candidate"})
            base = own_class
        return base

    def instance(self, body: list[Any]) -> Exception:
        """The exception that stands for one of the candidate's: [names, message, arguments, attributes]."""
        names, message, arguments, attributes = body
        kind = self.kind(names)
        if kind is CandidateError:
            return CandidateError(f"{names[0] if names else 'exception'}: {message}")
        try:
            error = kind(
                *(arguments if type(arguments) is tuple and arguments else (message,) if message else ())
            )
        except TypeError:  # UnicodeDecodeError and the like take more than a message
            return CandidateError(f"{names[0]}: {message}")
        if type(error).__module__ == "candidate":
            if str(error) != message:
                error = type(kind.__name__, (kind,), {"__str__": lambda _: message})(*error.args)
            if type(attributes) is dict:
                for name, value in attributes.items():
                    if type(name) is str and name.isidentifier() and not name.startswith("__"):
                        setattr(error, name, value)
        return error
