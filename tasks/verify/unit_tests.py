"""The unit-test verifier: runs a model's program in the sandbox and judges it by the reference's tests.

A reference is one JSON object, in one of the forms of `records.py`: asserts, pytest's functions and
unittest's classes, HumanEval's check, or inputs and outputs; "in_place": true lets every call change its
arguments. The tests are never shown to the program; it gets one call's arguments at a time. The reason
names the rung of the sandbox.

Covered: what `sandbox/` says. Not covered, and a fail: programs that need processes, parallel threads, files
outside a scratch folder, a network or packages that the user has not allowed, and values that are neither
plain data nor objects of the program's own. Tests that call nothing of the program's, or fail by themselves,
are `unscorable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from schemas.recipes.strictness import Strictness
from tasks.verify.records import Unusable, read_reference
from tasks.verify.sandbox.packages import package_places
from tasks.verify.sandbox.run import Case, Finding, Limits, safe_rung, shared_pool
from tasks.verify.verifier import SCORED, Verdict, Verifier

__all__ = ["VERIFIER", "read_reference", "verify", "verify_many", "with_strictness"]

LONGEST_TEXT = 200_000  # characters of a program
_DEFAULT = Strictness()


def verify(text: str | None, reference: str | None, strictness: Strictness = _DEFAULT) -> Verdict:
    """The verdict on one program; see `verify_many`."""
    return next(verify_many([text], [reference], strictness))


def verify_many(
    texts: Sequence[str | None], references: Sequence[str | None], strictness: Strictness = _DEFAULT
) -> Iterator[Verdict]:
    """One verdict per text, in order, as they come; programs run side by side, one a core.

    pass: every test holds. fail: one does not, or the program crashes, exits or gives no plain data; `value`
    is 0, or the share of tests that hold where that is asked for. timeout: no verdict in time. tampered: it
    broke the protocol. error: the sandbox failed. unscorable: no text, no usable reference, or no safe rung
    on this machine.
    """
    rows = [_case(*row, strictness.tests == "share") for row in zip(texts, references, strict=True)]
    findings = _findings([row for row in rows if isinstance(row, Case)], strictness)
    for row in rows:
        yield row if isinstance(row, Verdict) else _verdict(next(findings))


def with_strictness(strictness: Strictness) -> Verifier:
    """The verifier under a user's limits: BadInput where a package is not installed."""
    package_places(strictness.packages)
    version = strictness.label(VERIFIER.version, ("tests", "timeout", "packages"))
    many = partial(verify_many, strictness=strictness)
    return Verifier(VERIFIER.name, version, VERIFIER.kind, partial(verify, strictness=strictness), many)


def _case(text: str | None, reference: str | None, share: bool) -> Case | Verdict:
    """The case to run, or the verdict where there is nothing to run."""
    if text is None:
        return Verdict("unscorable", None, reason="there is no text")
    try:
        case = read_reference(reference, text, share)
    except Unusable as error:
        return Verdict("unscorable", None, reason=f"reference: {error}")
    if len(text) > LONGEST_TEXT:
        return Verdict("fail", 0.0, reason=f"the text is longer than {LONGEST_TEXT} characters")
    return case


def _findings(cases: list[Case], strictness: Strictness) -> Iterator[Finding]:
    if not cases:
        return iter(())
    rung = safe_rung()
    if rung.name is None:
        why = "no safe rung of the sandbox here: " + "; ".join(rung.refused)
        return iter([Finding("unscorable", why, None)] * len(cases))
    memory = Limits().memory_bytes * (2 if strictness.packages else 1)
    limits = Limits(strictness.timeout, memory, packages=strictness.packages)
    return shared_pool(rung.name, limits).judge_all(cases)


def _verdict(finding: Finding) -> Verdict:
    value = (finding.share or 0.0) if finding.outcome in SCORED else None
    why = ascii(" ".join(finding.why.split()))[1:-1]
    if finding.rung is None:
        return Verdict(finding.outcome, value, reason=why)
    return Verdict(finding.outcome, value, reason=f"{why} [sandbox: {finding.rung}]", rung=finding.rung)


VERIFIER = Verifier("unit-tests", "4", "program", verify, verify_many)
