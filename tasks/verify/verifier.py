"""What a verifier is: a named, versioned function from a text and a reference to a verdict.

Only `pass` and `fail` carry a value. A verifier that raises gives the outcome `error`, never a zero, because
it says nothing about the candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from schemas.errors import BadInput, RecipeError

if TYPE_CHECKING:  # the sandbox runs where no package is installed
    from schemas.recipes.strictness import Strictness

Texts = Sequence[str | None]
Outcome = Literal["pass", "fail", "timeout", "error", "tampered", "unscorable"]
SCORED: frozenset[Outcome] = frozenset(("pass", "fail"))

_LONGEST_REASON = 200  # characters of an exception that a reason quotes

# Imported on first use, so that a round of maths does not load a judge's or a sandbox's libraries.
_ROOMS = {
    "gsm8k": "tasks.verify.gsm8k",
    "manner": "tasks.verify.manner.manner",
    "maths": "tasks.verify.maths.maths",
    "unit-tests": "tasks.verify.unit_tests",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verifier's word on one text.

    `value` is 1.0 or 0.0 (or a judge's score) for pass and fail, None otherwise. `steps` has one value
    per step of the text: 1.0 holds, 0.0 does not; it is apart from the outcome, which may be pass with
    a wrong step. `reason` says why in one printable line. `answer` is the final answer as read, in
    canonical form, None where none could be read. `equations` is the reasoning path: the text of each
    step, as long as `steps`. `rung` is the rung of the sandbox that a program ran on, None where nothing ran.
    """

    outcome: Outcome
    value: float | None
    steps: tuple[float, ...] = ()
    reason: str = ""
    answer: str | None = None
    equations: tuple[str, ...] = ()
    rung: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.outcome in SCORED):
            raise ValueError(f"a verdict of {self.outcome} cannot have the value {self.value}")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A verifier: `kind` says what stands behind the verdict (rule, program, judge, reward ...).

    `verify_many`, where a verifier has one, gives the same verdicts for many rows side by side: one per row,
    in order, as they come. It never raises for a row.
    """

    name: str
    version: str
    kind: str
    verify: Callable[[str | None, str | None], Verdict]
    verify_many: Callable[[Texts, Texts], Iterator[Verdict]] | None = None


def get_verifier(name: str, version: str | None = None, strictness: Strictness | None = None) -> Verifier:
    """The verifier of a name, and of a version where one is asked for; RecipeError where there is none.

    A `strictness` other than the default gives a verifier that follows it and names it in its version.
    """
    if name not in _ROOMS:
        raise RecipeError(f"no verifier is called {name!r}: choose one of {', '.join(sorted(_ROOMS))}")
    room = import_module(_ROOMS[name])
    verifier = room.VERIFIER
    if strictness is not None and strictness != type(strictness)() and hasattr(room, "with_strictness"):
        verifier = room.with_strictness(strictness)
    assert isinstance(verifier, Verifier)
    if version not in (None, verifier.version):
        raise RecipeError(f"verifier {name} has version {verifier.version} here, not {version}")
    return verifier


def verify_rows(verifier: Verifier, texts: Texts, references: Texts) -> list[Verdict]:
    """One verdict per text, in order; a verifier that raises on a row gives that row the outcome error."""
    if len(texts) != len(references):
        raise BadInput(f"{len(texts)} texts to verify against {len(references)} references")
    if verifier.verify_many is not None:
        return list(verifier.verify_many(texts, references))
    return [_verdict(verifier, *row) for row in zip(texts, references, strict=True)]


def _verdict(verifier: Verifier, text: str | None, reference: str | None) -> Verdict:
    try:
        verdict = verifier.verify(text, reference)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"verifier {verifier.name} returned {type(verdict).__name__}, not a verdict")
    except Exception as error:  # whatever broke, it broke in the verifier, not in the candidate
        return Verdict("error", None, reason=f"{type(error).__name__}: {_one_line(error)}")
    return verdict


def _one_line(error: Exception) -> str:
    """An exception's message as one printable line that any table can store."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception whose own message raises
        return "no message"
    return ascii(text)[1:-1][:_LONGEST_REASON]
