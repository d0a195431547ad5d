"""The unit-test verifier: what a reference may be, what counts as a program, and what each outcome means."""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict, defaultdict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.verify.sandbox import decode, encode, landlock, program, seccomp, strict, syscalls
from tasks.verify.sandbox.run import safe_rung
from tasks.verify.unit_tests import LONGEST_TEXT, verify
from tasks.verify.verifier import Verdict, get_verifier, verify_rows

on_a_safe_rung = pytest.mark.skipif(
    safe_rung().name is None, reason=f"no safe rung of the sandbox here: {safe_rung().refused}"
)


def judge(text: str, *tests: str, **fields: object) -> Verdict:
    return verify(text, json.dumps({"tests": list(tests), **fields}))


@on_a_safe_rung
def test_a_right_program_passes_and_the_verdict_names_its_rung() -> None:
    verdict = judge(
        "def double(n):\n    return 2 * n\n", "assert double(2) == 4", "assert double('a') == 'aa'"
    )
    assert (verdict.outcome, verdict.value) == ("pass", 1.0)
    assert verdict.rung == safe_rung().name
    assert f"[sandbox: {verdict.rung}]" in verdict.reason


@on_a_safe_rung
def test_a_failing_test_is_named_by_its_line() -> None:
    verdict = judge("def f(n):\n    return n\n", "assert f(1) == 1\nassert f(2) == 3, 'two'")
    assert (verdict.outcome, verdict.value) == ("fail", 0.0)
    assert verdict.reason.startswith("line 2 of the test: AssertionError: two")


@on_a_safe_rung
@pytest.mark.parametrize(
    "reference",
    [
        None,
        "",
        "#### 12",
        "[]",
        "{}",
        '{"tests": []}',
        '{"tests": "assert f(1)"}',
        '{"tests": [1]}',
        '{"tests": ["assert f("]}',
        '{"tests": ["assert 1 == 1"]}',
        '{"tests": ["assert f(1)"], "prompt": 3}',
        '{"tests": ["assert f(object())"]}',
        '{"test": "def check(candidate): pass", "entry_point": "a b", "prompt": ""}',
        '{"test": "def chek(candidate): pass", "entry_point": "f", "prompt": ""}',
        '{"prompt": "", "entry_point": "f"}',
        "[" * 200_000,
    ],
)
def test_a_reference_that_is_no_test_is_unscorable(reference: str | None) -> None:
    verdict = verify("def f(n):\n    return n\n", reference)
    assert (verdict.outcome, verdict.value) == ("unscorable", None)
    assert verdict.reason.startswith("reference: ")


@on_a_safe_rung
@pytest.mark.parametrize(
    "text",
    [
        "    return n + 1\n",
        "def f(n):\n    return n + 1\n",
        "Sure.\n```python\ndef f(n):\n    return n + 1\n```\nDone.",
        "```\n    return n + 1\n```",
        "    return n + 1\n```\n",
        "~~~py\nf = lambda n: n + ONE\n~~~",
        "Wrong:\n```python\ndef f(n):\n    return\n```\nRight:\n```py\ndef f(n):\n    return n + 1\n```\n",
        "```python\nfrom __future__ import annotations\ndef f(n: int) -> int:\n    return n + 1",
        "def f(n):\n    return n + 1\nif __name__ == '__main__':\n    raise SystemExit(main())\n",
    ],
)
def test_completions_whole_programs_and_fences_are_understood(text: str) -> None:
    reference = {
        "prompt": 'ONE = 1\n\ndef f(n):\n    """The next number."""\n',
        "test": "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(-1) == 0\n",
        "entry_point": "f",
    }
    assert verify(text, json.dumps(reference)).outcome == "pass"


@on_a_safe_rung
@pytest.mark.parametrize(
    "text",
    ["", "I cannot.", "def g(n):\n    return n\n", "def f(n)", "\x00", "\ud800", "x" * (LONGEST_TEXT + 1)],
)
def test_a_text_without_the_program_fails(text: str) -> None:
    assert judge(text, "assert f(1) == 1").outcome == "fail"


def test_no_text_is_unscorable() -> None:
    assert verify(None, '{"tests": ["assert f(1)"]}').outcome == "unscorable"


@on_a_safe_rung
@pytest.mark.parametrize(
    ("returned", "test", "outcome"),
    [
        ("True", "assert f() == 1", "fail"),
        ("1", "assert f() == True", "fail"),
        ("[1, 0]", "assert f() == [True, False]", "fail"),
        ("{'a': (1,)}", "assert f() == {'a': (True,)}", "fail"),
        ("{True: 1}", "assert f() == {1: 1}", "fail"),
        ("{1}", "assert f() == {True}", "fail"),
        ("True", "assert f() in (0, 1)", "fail"),
        ("True", "assert f() != 2 and f() == True", "pass"),
        ("3.0", "assert f() == 3", "pass"),
        ("0.1 + 0.2", "assert abs(f() - 0.3) < 1e-9", "pass"),
        ("2 ** 5000", "assert f() == 2 ** 5000", "pass"),
        ("float('-inf')", "assert f() == float('-inf')", "pass"),
        ("(1, [2, {3: {4}}], b'5', 6j, None)", "assert f() == (1, [2, {3: {4}}], b'5', 6j, None)", "pass"),
        ("__import__('collections').Counter('aab')", "assert f() == {'a': 2, 'b': 1}", "pass"),
        ("(n for n in range(3))", "assert list(f()) == [0, 1, 2]", "pass"),
        ("(n for n in range(3))", "assert f() == [0, 1, 2]", "fail"),
        ("(1, 2)", "assert f() == [1, 2]", "fail"),
        ("print", "assert f() is not None", "fail"),
    ],
)
def test_values_are_compared_by_exact_type(returned: str, test: str, outcome: str) -> None:
    assert judge(f"def f():\n    return {returned}\n", test).outcome == outcome


@on_a_safe_rung
def test_a_candidates_exceptions_reach_the_tests() -> None:
    text = "class Odd(ValueError): pass\ndef f(n):\n    if n % 2: raise Odd('odd')\n    return n\n"
    test = (
        "try:\n    f(1)\nexcept ValueError as error:\n    assert str(error) == 'odd'\nelse:\n    assert False"
    )
    assert judge(text, test, "assert f(2) == 2").outcome == "pass"
    assert judge(text, "assert f(3) == 3").reason.startswith("line 1 of the test: Odd: odd")


@on_a_safe_rung
@pytest.mark.parametrize("ending", ["raise SystemExit", "import os; os._exit(0)", "return object()"])
def test_a_test_that_catches_everything_makes_no_pass_of_a_broken_call(ending: str) -> None:
    test = "try:\n    f()\nexcept BaseException:\n    pass"
    assert judge(f"def f():\n    {ending}\n", test).outcome in ("fail", "tampered")


@on_a_safe_rung
def test_a_candidate_cannot_end_the_tests_loop_early() -> None:
    test = "for got, wanted in zip(map(f, [1, 2]), [1, 2]):\n    assert got == wanted"
    assert judge("def f(n):\n    raise StopIteration\n", test).outcome == "fail"


@on_a_safe_rung
def test_arguments_go_by_value_unless_the_tests_look_at_them_or_the_reference_says_in_place() -> None:
    text = "def f(items, *, table):\n    items.sort()\n    table['n'] = len(items)\n"
    test = "a, t = [2, 1], {}\nassert (f(a, table=t), a, t) == (None, [1, 2], {'n': 2})"
    assert judge(text, test).outcome == "fail"
    assert judge(text, test, in_place=True).outcome == "pass"
    sort = "def f(a):\n    a.sort()\n    return len(a)\n"
    assert judge(sort, "a = [2, 1]\nf(a)\nassert a == [1, 2]").outcome == "pass"
    assert judge(sort, "a = [2, 1]\nk = f(a)\nassert a[:k] == [1, 2]").outcome == "pass"
    # By value, a candidate cannot change what the expected value is computed from.
    clear = "def f(a):\n    a.clear()\n    return []\n"
    assert judge(clear, "a = [2, 1]\nassert f(a) == sorted(a)").outcome == "fail"
    assert judge(clear, "a = [2, 1]\nb = f(a)\nassert b == sorted(a)").outcome == "fail"
    assert judge(clear, "a = [2, 1]\nf(a)\nassert a == sorted(a)", "assert f([1]) == [1]").outcome == "fail"


@on_a_safe_rung
def test_tests_with_chance_in_them_give_the_same_verdict_again() -> None:
    test = "import random\nassert f(random.random()) > 0.5"
    outcomes = {judge("def f(n):\n    return n\n", test).outcome for _ in range(4)}
    assert len(outcomes) == 1


@on_a_safe_rung
def test_a_file_in_scratch_may_be_written_and_is_gone_the_next_time() -> None:
    if safe_rung().name == "landlock":
        pytest.skip("rung landlock has no scratch folder")
    text = (
        "import os\ndef f():\n    seen = os.path.exists('x')\n    open('x', 'w').close()\n    return seen\n"
    )
    for _ in range(2):
        assert judge(text, "assert f() == False", "assert f() == True").outcome == "pass"


@on_a_safe_rung
def test_many_rows_come_back_in_order() -> None:
    verifier = get_verifier("unit-tests", "4")
    assert (verifier.name, verifier.version, verifier.kind) == ("unit-tests", "4", "program")
    texts = [
        "def f(): return 1",
        None,
        "import time\ndef f():\n    time.sleep(0.3)\n    return 1",
        "def f(): return 2",
    ]
    good = '{"tests": ["assert f() == 1"]}'
    verdicts = verify_rows(verifier, [*texts, "def f(): return 1"], [good, good, good, good, "no"])
    assert [verdict.outcome for verdict in verdicts] == ["pass", "unscorable", "pass", "fail", "unscorable"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_data_comes_through_the_pipe_as_it_was(value: object) -> None:
    tree = decode.parse(f"[{encode.encode(value)}]".encode("ascii"))
    assert repr(decode.build(tree[0])) == repr(value)


def test_collections_keep_their_types_through_the_pipe() -> None:
    values = (
        Counter("aab"),
        OrderedDict(b=1, a=2),
        deque([1, 2]),
        {1, 2},
        frozenset({3}),
        range(2, 9, 3),
        bytearray(b"x"),
    )
    for value in values:
        (tree,) = decode.parse(f"[{encode.encode(value)}]".encode("ascii"))
        built = decode.build(tree)
        assert (type(built), built) == (type(value), value)
    (tree,) = decode.parse(f"[{encode.encode(defaultdict(int, a=1))}]".encode("ascii"))
    assert decode.build(tree) == {"a": 1}


@given(
    st.binary(max_size=200)
    | st.text(alphabet='[]{}",:0123456789eEnltsdbcfi-.x', max_size=200).map(str.encode)
)
@settings(max_examples=300)
def test_hostile_bytes_give_a_value_or_are_called_forged(content: bytes) -> None:
    try:
        for tree in decode.parse(content):
            decode.build(tree)
    except decode.Forged:
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[" + b"9" * 5000 + b"]",
        b"[NaN]",
        b'[{"l": 1}]',
        b'[["n", "0xZZ"]]',
        b'[["f", "1"]]',
        b'[["s", ["l"]]]',
        b'[["d", 1]]',
        b'[["c", ["f", "inf", "inf"], 1.0]]',
        b'[["unknown"]]',
        b'[["l"' + b",0" * 2_500_000 + b"]]",
        b'["x"',
        b"\xff",
        b"{}",
    ],
)
def test_bytes_that_the_encoder_never_writes_are_forged(content: bytes) -> None:
    with pytest.raises(decode.Forged):
        [decode.build(tree) for tree in decode.parse(content)]


def test_the_strict_comparison_agrees_with_python_but_for_bools() -> None:
    values = [
        0,
        1,
        1.0,
        "",
        "1",
        None,
        [],
        [1],
        [1.0],
        (1,),
        {},
        {"a": 1},
        {1},
        frozenset({1}),
        Counter(a=0),
        deque([1]),
    ]
    for left in values:
        for right in values:
            assert strict.equal(left, right) == (left == right), (left, right)


def test_a_program_is_found_beside_prose_and_broken_blocks() -> None:
    text = "```python\ndef f(:\n```\nthen\n```python\ndef f(n):\n    return 1\n```"
    assert program.sources("", text, ("f",)) == ["def f(n):\n    return 1\n"]


def test_the_filter_checks_the_architecture_first_and_refuses_last() -> None:
    if syscalls.MACHINE not in ("x86_64", "aarch64"):
        pytest.skip("no allow-list for this machine")
    code = seccomp.build()
    assert len(code) % 8 == 0
    assert code[:8] == seccomp._instruction(seccomp._LOAD, seccomp._ARCHITECTURE)
    assert code[-8:] == seccomp._instruction(seccomp._RETURN, seccomp._REFUSE)
    forbidden = {
        "clone",
        "fork",
        "execve",
        "socket",
        "ptrace",
        "kill",
        "io_uring_setup",
        "mount",
        "prctl",
        "link",
    }
    assert forbidden.isdisjoint(syscalls.ALLOWED)


def test_an_unknown_machine_has_no_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "MACHINE", "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        seccomp.build()


def test_landlock_says_its_version_without_raising() -> None:
    assert landlock.abi() >= 0
    assert os.path.isdir("/")


def test_where_no_rung_is_safe_nothing_runs_and_the_verdict_is_unscorable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tasks.verify import unit_tests
    from tasks.verify.sandbox.run import Rung

    monkeypatch.setattr(unit_tests, "safe_rung", lambda: Rung(None, ("full: unshare: refused",)))
    verdict = judge("def f(): return 1", "assert f() == 1")
    assert (verdict.outcome, verdict.value, verdict.rung) == ("unscorable", None, None)
    assert verdict.reason == "no safe rung of the sandbox here: full: unshare: refused"
