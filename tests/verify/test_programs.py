# ruff: noqa: E501 - programs and answers stand as they are written
"""The unit-test verifier on programs and tests as people write them: nothing passes without being called, and
nothing honest fails for its shape.
"""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from schemas.errors import BadInput
from schemas.recipes.strictness import Strictness
from tasks.verify.records import Unusable, read_reference
from tasks.verify.sandbox.run import safe_rung
from tasks.verify.unit_tests import verify
from tasks.verify.verifier import Verdict, get_verifier

pytestmark = pytest.mark.skipif(safe_rung().name is None, reason=f"no safe rung here: {safe_rung().refused}")

RIGHT, WRONG = "def f(n):\n    return n + 1\n", "def f(n):\n    return n\n"


def judge(text: str, *tests: str, **fields: Any) -> Verdict:
    return verify(text, json.dumps({"tests": list(tests), **fields} if tests else fields))


FOUND = [
    "def test_f():\n    assert f(1) == 2\n",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n",
    "import unittest\nclass T(unittest.TestCase):\n    def setUp(self):\n        self.n = 1\n"
    "    def test_a(self):\n        self.assertTrue(f(self.n) == 2)\nif __name__ == '__main__':\n    unittest.main()\n",
    "class TestF:\n    def setup_method(self):\n        self.n = 1\n    def test_one(self):\n        assert f(self.n) == 2\n",
    "import pytest\n@pytest.mark.parametrize('n, m', [(1, 2), (5, 6)])\ndef test_f(n, m):\n    assert f(n) == m\n",
    "import pytest\n@pytest.fixture\ndef n():\n    return 1\ndef test_f(n):\n    assert f(n) == pytest.approx(2.0)\n",
    "def main():\n    assert f(1) == 2\nif __name__ == '__main__':\n    main()\n",
    "from solution import f as g\nassert g(1) == 2\n",
    "import solution\nassert solution.f(1) == 2\n",
    "def check(g):\n    assert g(1) == 2\ncheck(f)\n",
]


@pytest.mark.parametrize("test", FOUND)
def test_tests_of_every_kind_are_found_and_run(test: str) -> None:
    assert judge(RIGHT, test).outcome == "pass", judge(RIGHT, test)
    assert judge(WRONG, test).outcome == "fail", judge(WRONG, test)
    assert judge("", test).outcome in ("fail", "unscorable")


NOT_CALLED = [
    "for n in []:\n    assert f(n) == 2\n",
    "if False:\n    assert f(1) == 2\n",
    "check = lambda: f(1) == 2\n",
    "def helper():\n    assert f(1) == 2\n",
    "assert f\n",
    "assert callable(f)\n",
    "try:\n    pass\nexcept ValueError:\n    f(1)\n",
    "def f(n):\n    return n + 1\nassert f(1) == 2\n",
    "class Test:\n    def helper(self):\n        assert f(1) == 2\n",
]


@pytest.mark.parametrize("test", NOT_CALLED)
@pytest.mark.parametrize("program", [RIGHT, WRONG])
def test_tests_that_never_call_the_program_score_nothing(test: str, program: str) -> None:
    assert judge(program, test).outcome == "unscorable", judge(program, test)


FAULTS = [
    "assert f(1) == 2\nassert math.isclose(f(1), 2)",
    "import numpy as np\nassert f(1) == 2",
    "import nowhere\nassert f(1) == 2",
    "x = 1 / 0\nassert f(1) == 2",
    "x = {}['a']\nassert f(1) == 2",
    "assert f(1) == 2\nassert 1 == 2",
    "expected = [1][3]\nassert f(1) == expected",
    "def test_f(database):\n    assert f(1) == 2",
    "with open('data.txt') as h:\n    assert f(1) == int(h.read())",
]


@pytest.mark.parametrize("test", FAULTS)
@pytest.mark.parametrize("program", [RIGHT, WRONG])
def test_a_fault_of_the_tests_is_no_fail_of_the_program(test: str, program: str) -> None:
    verdict = judge(program, test)
    expected = {"unscorable"} | ({"fail"} if program is WRONG and test.startswith("assert f") else set())
    assert verdict.outcome in expected, verdict


BLAMED = [
    "assert f(1)[0] == 2",
    "a = f(1)\nassert a.x == 2",
    "assert sum(f(1)) == 2",
    "r = []\nr.append(f(1))\nassert r[0][1]",
]


@pytest.mark.parametrize("test", BLAMED)
def test_an_error_over_a_wrong_value_is_the_programs_fail(test: str) -> None:
    assert judge(RIGHT, test).outcome == "fail"


SHAPES = [
    ("class S:\n    def __init__(self):\n        self.a = []\n    def push(self, x):\n        self.a.append(x)\n"
     "    def __len__(self):\n        return len(self.a)\n", "s = S()\ns.push(1)\ns.push(2)\nassert len(s) == 2 and s.a == [1, 2]"),
    ("class V:\n    def __init__(self, x):\n        self.x = x\n    def __add__(self, o):\n        return V(self.x + o.x)\n"
     "    def __eq__(self, o):\n        return self.x == o.x\n", "assert V(1) + V(2) == V(3) and V(1) != V(2)"),
    ("class Q:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n    def __eq__(self, o):\n"
     "        return self.a * o.b == o.a * self.b\n", "assert Q(1, 2) == Q(2, 4)\nassert Q(1, 2) != Q(1, 3)"),
    ("class E(Exception):\n    def __init__(self, code):\n        super().__init__('no')\n        self.code = code\n"
     "def f():\n    raise E(7)\n", "try:\n    f()\nexcept E as e:\n    assert e.code == 7 and str(e) == 'no'\nelse:\n    assert False"),
    ("class E(ValueError): pass\ndef f():\n    raise E('x')\n", "import pytest\nwith pytest.raises(ValueError, match='x'):\n    f()"),
    ("from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f():\n    return P(1, 2)\n", "assert f() == (1, 2) and f().x == 1"),
    ("import datetime\ndef f(d):\n    return d + datetime.timedelta(days=1)\n",
     "import datetime\nassert f(datetime.date(2024, 2, 28)) == datetime.date(2024, 2, 29)"),
    ("import enum\nclass C(enum.Enum):\n    A = 1\ndef f():\n    return C.A\n", "assert f() == C.A and f() is C.A and f().value == 1"),
    ("def f():\n    n = 0\n    while True:\n        yield n\n        n += 1\n", "g = f()\nassert [next(g) for _ in range(3)] == [0, 1, 2]"),
    ("def f(g, a):\n    return sorted(a, key=g)\n", "assert f(lambda x: -x, [1, 3, 2]) == [3, 2, 1]"),
    ("def f(g):\n    try:\n        return g(0)\n    except ZeroDivisionError:\n        return 'zero'\n", "assert f(lambda x: 1 / x) == 'zero'"),
    ("def f():\n    print('hello')\n", "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    f()\nassert b.getvalue() == 'hello\\n'"),
    ("def f():\n    print(int(input()) + 1)\n", "def test_f(capsys, monkeypatch):\n    monkeypatch.setattr('builtins.input', lambda *_: '4')\n    f()\n    assert capsys.readouterr().out == '5\\n'"),
    ("class N:\n    def __init__(self, v, n=None):\n        self.v, self.n = v, n\ndef f(h):\n    p = None\n    while h:\n        h.n, p, h = p, h, h.n\n    return p\n",
     "h = f(N(1, N(2)))\nassert (h.v, h.n.v, h.n.n) == (2, 1, None)"),
    ("class Solution:\n    def f(self, n):\n        return n + 1\n", "assert Solution().f(1) == 2"),
    ("import asyncio\nasync def f(n):\n    await asyncio.sleep(0)\n    return n + 1\n", "import asyncio\nasync def test_f():\n    assert await f(1) == 2"),
    ("import threading\nout = []\ndef f():\n    t = [threading.Thread(target=out.append, args=(i,)) for i in range(3)]\n"
     "    [x.start() for x in t]\n    [x.join() for x in t]\n    return out\n", "assert f() == [0, 1, 2]"),
    ("def f(a):\n    a.sort()\n    return None\n", "a = [2, 1]\nassert f(a) is None\nassert a == [1, 2]"),
    ("def next(n):\n    return n + 1\n", "assert next(1) == 2"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "test"), SHAPES)
def test_an_honest_program_passes_in_any_shape(program: str, test: str) -> None:
    assert judge(program, test).outcome == "pass", judge(program, test)


FOOLS = [
    ("class P:\n    def __eq__(self, o): return True\ndef f(n):\n    return P()\n", "assert f(1) == 2"),
    ("class P:\n    def __init__(self, *a): pass\n    def __eq__(self, o): return True\ndef f(n):\n    return P()\n", "assert f(1) == P(5)"),
    ("class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return True\ndef f(n):\n    return P(0)\n", "assert f(1) == P(5)"),
    ("class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return isinstance(o, P)\ndef f(n):\n    return P(0)\n", "assert f(1) == P(5)"),
    ("class A:\n    def __sub__(self, o): return 0.0\n    def __abs__(self): return 0.0\n    def __lt__(self, o): return True\ndef f(n):\n    return A()\n", "assert abs(f(1) - 2) < 1e-6"),
    ("class A:\n    def __gt__(self, o): return True\ndef f(n):\n    return A()\n", "assert f(1) > 2"),
    ("class A:\n    def __contains__(self, o): return True\ndef f(n):\n    return A()\n", "assert 2 in f(1)"),
    ("class A(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef f(n):\n    return A(0)\n", "assert f(1) == 2"),
    ("class A(list):\n    def __eq__(self, o): return True\ndef f(n):\n    return A()\n", "assert f(1) == [2]"),
    ("def abs(x):\n    return 0\ndef f(n):\n    return 7\n", "assert abs(f(1) - 2) < 1e-6"),
    ("def all(x):\n    return True\ndef f(n):\n    return n\n", "assert all(f(n) == n + 1 for n in range(3))"),
    ("def f(a):\n    a.clear()\n    return a\n", "a = [2, 1]\nassert f(a) == sorted(a)"),
    ("def f(g):\n    g.__globals__\n", "assert f(lambda x: x) == 1"),
    ("import math\nmath.isclose = lambda *a, **k: True\ndef f(n):\n    return 0\n", "import math\nassert math.isclose(f(1), 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "test"), FOOLS)
def test_an_object_of_the_programs_own_decides_no_comparison(program: str, test: str) -> None:
    assert judge(program, test).outcome == "fail", judge(program, test)


ECHO = "n = int(input())\nprint(n + 1)\n"
PRIVATE = base64.b64encode(
    zlib.compress(pickle.dumps(json.dumps([{"input": "4", "output": "5", "testtype": "stdin"}])))
).decode()
RECORDS: list[tuple[str, dict[str, Any]]] = [
    (ECHO, {"input_output": json.dumps({"inputs": ["1\n", "5"], "outputs": ["2\n", "6"]})}),
    (ECHO, {"input_output": {"inputs": [["1"]], "outputs": [["2"]]}}),
    ("import sys\nprint(int(sys.stdin.readline()) + 1)\n", {"tests": [{"input": "1", "output": "2.0", "testtype": "stdin"}]}),
    ("print(int(open(0).read()) + 1)\n", {"tests": [{"input": "1", "output": "2"}]}),
    ("def main():\n    print(int(input()) + 1)\nif __name__ == '__main__':\n    main()\n", {"tests": [{"input": "1", "output": "2"}]}),
    (RIGHT, {"input_output": {"inputs": [[1]], "outputs": [[2]], "fn_name": "f"}}),
    ("class Solution:\n    def f(self, n: int) -> int:\n        return n + 1\n",
     {"public_test_cases": json.dumps([{"input": "1", "output": "2", "testtype": "functional"}]), "metadata": json.dumps({"func_name": "f"})}),
    (ECHO, {"public_test_cases": json.dumps([{"input": "1", "output": "2", "testtype": "stdin"}]), "private_test_cases": PRIVATE, "metadata": "{}"}),
    (RIGHT, {"test_list": ["assert f(1) == 2"], "test_setup_code": "x = 1", "prompt": "Write a function."}),
    (RIGHT, {"test_list": ["assert math.isclose(f(1), 2)"], "test_imports": ["import math"]}),
    ("class Solution:\n    def f(self, n):\n        return n + 1\n",
     {"prompt": "", "test": "def check(candidate):\n    assert candidate(1) == 2\n", "entry_point": "Solution().f"}),
]  # fmt: skip


@pytest.mark.parametrize(("program", "record"), RECORDS)
def test_records_of_benchmarks_are_taken_as_they_are(program: str, record: dict[str, Any]) -> None:
    assert judge(program, **record).outcome == "pass", judge(program, **record)
    assert judge(program.replace("+ 1", "+ 3"), **record).outcome == "fail"
    assert judge("", **record).outcome in ("fail", "unscorable")


def test_a_packed_record_that_holds_more_than_a_text_is_refused() -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps(Unusable))).decode()
    with pytest.raises(Unusable, match="cannot be unpacked"):
        read_reference(json.dumps({"private_test_cases": packed}), "")


def test_the_share_of_tests_that_hold_is_asked_for() -> None:
    share = Strictness(tests="share")
    tests = json.dumps(
        {
            "tests": [
                "assert f(1) == 2",
                "assert f(2) == 9\nassert f(3) == 4",
                "def test_a():\n    assert f(4) == 9",
            ]
        }
    )
    verdict = verify(RIGHT, tests, share)
    assert (verdict.outcome, verdict.value) == ("fail", 0.5), verdict
    assert verify(RIGHT, tests).value == 0.0
    pairs = json.dumps({"tests": [{"input": str(n), "output": "2"} for n in range(4)]})
    assert verify(ECHO, pairs, share).value == 0.25
    check = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(1) == 3\n"
    human = json.dumps({"prompt": "", "test": check, "entry_point": "f"})
    assert verify(RIGHT, human, share).value == 0.5
    assert verify("def f(n):\n    raise SystemExit\n", human, share).value == 0.0


def test_a_timeout_is_the_users_and_stands_in_the_version() -> None:
    strictness = Strictness(timeout=0.5)
    verifier = get_verifier("unit-tests", strictness=strictness)
    assert verifier.version == "4 timeout=0.5"
    assert verifier.verify("while True: pass", json.dumps({"tests": ["assert f(1)"]})).outcome == "timeout"


def test_only_packages_that_the_user_names_can_be_imported() -> None:
    program = "import numpy as np\ndef f(n):\n    return np.arange(n)\n"
    reference = json.dumps({"tests": ["import numpy as np\nassert (f(3) == np.array([0, 1, 2])).all()"]})
    assert verify(program, reference).outcome == "unscorable"
    assert verify(program, reference, Strictness(packages=("numpy",))).outcome == "pass"
    wrong = program.replace("arange(n)", "ones(n)")
    assert verify(wrong, reference, Strictness(packages=("numpy",))).outcome == "fail"
    other = json.dumps({"tests": ["assert f() is None"]})
    assert verify("import pandas\ndef f(): pass", other, Strictness(packages=("numpy",))).outcome == "fail"
    with pytest.raises(BadInput, match="nowhere-at-all"):
        get_verifier("unit-tests", strictness=Strictness(packages=("nowhere-at-all",)))


TEXTS = [
    "<think>\n```python\ndef f(n):\n    return n\n```\n</think>\nSo:\n```python\ndef f(n):\n    return n + 1\n```",
    "Helper:\n```python\ndef one():\n    return 1\n```\nThen:\n```python\ndef f(n):\n    return n + one()\n```\nUse:\n```python\nprint(f(1))\n```",
    "The code:\n\nimport math\n\ndef f(n):\n    return n + 1\n\nIt adds one.",
    "<answer>\n```python\ndef f(n):\n    return n + 1\n```\n</answer>",
    "\ufeffdef f(n):\n    return n + 1\n",
    "```python\ndef f(n):\n    '''\n    ```\n    f(1)\n    ```\n    '''\n    return n + 1\n```",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_the_program_is_found_in_its_text(text: str) -> None:
    assert judge(text, "assert f(1) == 2").outcome == "pass", judge(text, "assert f(1) == 2")


@pytest.mark.parametrize(
    "text", ["<think>\n" + RIGHT, "<think>\n```python\n" + RIGHT + "```\n", "<answer>" + WRONG + "</answer>"]
)
def test_a_program_in_unfinished_reasoning_is_none(text: str) -> None:
    assert judge(text, "assert f(1) == 2").outcome == "fail"
