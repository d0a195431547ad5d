"""A broken verifier is not a score."""

from __future__ import annotations

import threading

import pytest

from schemas.errors import BadInput, RatchetError
from tasks.verify.verifier import Verdict, Verifier, get_verifier, verify_rows


def _crashes(text: str | None, reference: str | None) -> Verdict:
    if text == "bad":
        raise ZeroDivisionError("two\nlines \ud800")
    return Verdict("pass", 1.0)


def test_a_verifier_that_crashes_never_becomes_a_score_of_zero() -> None:
    verdicts = verify_rows(Verifier("crashes", "1", "rule", _crashes), ["bad", "good"], ["1", "1"])
    assert [verdict.outcome for verdict in verdicts] == ["error", "pass"]
    assert verdicts[0].value is None
    assert verdicts[0].reason == "ZeroDivisionError: two lines \\ud800"


def test_a_verifier_that_returns_no_verdict_is_an_error() -> None:
    broken = Verifier("broken", "1", "rule", lambda text, reference: True)  # type: ignore[arg-type,return-value]
    (verdict,) = verify_rows(broken, ["#### 1"], ["1"])
    assert (verdict.outcome, verdict.value) == ("error", None)
    assert "bool" in verdict.reason


@pytest.mark.parametrize("outcome", ["timeout", "error", "tampered", "unscorable"])
def test_only_pass_and_fail_can_carry_a_value(outcome: str) -> None:
    assert Verdict(outcome, None).value is None  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=outcome):
        Verdict(outcome, 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pass"):
        Verdict("pass", None)


def test_an_unknown_verifier_or_version_is_one_clear_line() -> None:
    assert get_verifier("maths") is get_verifier("maths", "5")
    for name, version in (("math", None), ("maths", "99")):
        with pytest.raises(RatchetError) as caught:
            get_verifier(name, version)
        assert "maths" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_texts_without_their_references_are_refused() -> None:
    with pytest.raises(BadInput, match="2 texts"):
        verify_rows(get_verifier("maths"), ["#### 1", "#### 2"], ["1"])


def test_a_missing_text_or_reference_is_unscorable_and_not_a_fail() -> None:
    verdicts = verify_rows(get_verifier("maths"), [None, "#### 1", None], ["1", None, None])
    assert [(verdict.outcome, verdict.value) for verdict in verdicts] == [("unscorable", None)] * 3


def test_verdicts_off_the_main_thread_are_the_same() -> None:
    texts, references = ["#### 1", "I refuse. 42", "#### 2"], ["1", "42", "3"]
    seen: list[Verdict] = []
    thread = threading.Thread(
        target=lambda: seen.extend(verify_rows(get_verifier("maths"), texts, references))
    )
    thread.start()
    thread.join()
    assert [verdict.outcome for verdict in seen] == ["pass", "fail", "fail"]
    assert seen == verify_rows(get_verifier("maths"), texts, references)
