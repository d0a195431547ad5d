"""The unit-test verifier: runs a model's program in the sandbox and judges it by the reference's tests.

A reference is one JSON object: HumanEval's fields {"prompt", "test", "entry_point"}, or {"tests": [...]}, a
list of assert statements, with an optional "prompt"; "in_place": true lets a call change its arguments. The
tests are never shown to the program; it gets one call's arguments at a time. The rationale names the rung
of the sandbox.

Covered: what `sandbox/` says. Not covered: programs that need threads, processes, files outside a scratch
folder, a network or packages beyond the standard library, and values that are no plain data: those fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tasks.verify.sandbox.run import Case, Finding, safe_rung, shared_pool
from tasks.verify.verifier import SCORED, Verdict, Verifier

__all__ = ["VERIFIER", "read_reference", "verify", "verify_many"]

LONGEST_TEXT = 200_000  # characters of a program
LONGEST_REFERENCE = 4_000_000


class Unusable(ValueError):
    """A reference that gives no tests; the message says why."""


def verify(text: str | None, reference: str | None) -> Verdict:
    """The verdict on one program; see `verify_many`."""
    return next(verify_many([text], [reference]))


def verify_many(texts: Sequence[str | None], references: Sequence[str | None]) -> Iterator[Verdict]:
    """One verdict per text, in order, as they come; programs run side by side, one a core.

    pass: every test holds. fail: one does not, or the program crashes, exits or gives no plain data.
    timeout: no verdict in time. tampered: it broke the protocol. error: the sandbox failed. unscorable: no
    text, no usable reference, or no safe rung on this machine.
    """
    rows = [_case(*row) for row in zip(texts, references, strict=True)]
    cases = [row for row in rows if isinstance(row, Case)]
    findings = _findings(cases)
    for row in rows:
        yield row if isinstance(row, Verdict) else _verdict(next(findings))


def read_reference(reference: str | None, text: str) -> Case:
    """The case that a reference makes of a text; Unusable where it is none."""
    if not reference or len(reference) > LONGEST_REFERENCE:
        raise Unusable("there is none" if not reference else "it is too long")
    try:
        fields = json.loads(reference)
    except (ValueError, RecursionError) as error:
        raise Unusable("it is not JSON") from error
    if not isinstance(fields, dict):
        raise Unusable("it is not a JSON object")
    prompt, in_place = fields.get("prompt", ""), fields.get("in_place", False)
    if not isinstance(prompt, str) or not isinstance(in_place, bool):
        raise Unusable("prompt is not a text, or in_place neither true nor false")
    tests, entry_point = fields.get("tests"), None
    if tests is None:
        tests, entry_point = [fields.get("test")], fields.get("entry_point")
        if not isinstance(entry_point, str) or not entry_point.isidentifier():
            raise Unusable("entry_point is not a name")
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) and test for test in tests):
        raise Unusable("it has no tests")
    return Case(text, tuple(tests), prompt, entry_point, in_place)


def _case(text: str | None, reference: str | None) -> Case | Verdict:
    """The case to run, or the verdict where there is nothing to run."""
    if text is None:
        return Verdict("unscorable", None, rationale="there is no text")
    try:
        case = read_reference(reference, text)
    except Unusable as error:
        return Verdict("unscorable", None, rationale=f"reference: {error}")
    if len(text) > LONGEST_TEXT:
        return Verdict("fail", 0.0, rationale=f"the text is longer than {LONGEST_TEXT} characters")
    return case


def _findings(cases: list[Case]) -> Iterator[Finding]:
    if not cases:
        return iter(())
    rung = safe_rung()
    if rung.name is None:
        why = "no safe rung of the sandbox here: " + "; ".join(rung.refused)
        return iter([Finding("unscorable", why, None)] * len(cases))
    return shared_pool(rung.name).judge_all(cases)


def _verdict(finding: Finding) -> Verdict:
    value = (1.0 if finding.outcome == "pass" else 0.0) if finding.outcome in SCORED else None
    why = ascii(" ".join(finding.why.split()))[1:-1]
    if finding.rung is None:
        return Verdict(finding.outcome, value, rationale=why)
    return Verdict(finding.outcome, value, rationale=f"{why} [sandbox: {finding.rung}]", rung=finding.rung)


VERIFIER = Verifier("unit-tests", "1", "program", verify, verify_many)
