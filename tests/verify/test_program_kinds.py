# ruff: noqa: E501 - programs and tests stand as they are written
"""The unit-test verifier on further variations of what people who grade programs report: tests of what a
program prints or changes, layouts of a text, tests that fail by themselves.
"""

from __future__ import annotations

import json

import pytest

from tasks.verify.sandbox.run import safe_rung
from tasks.verify.unit_tests import verify_many

GOOD = "def f(n):\n    return n + 1\n"
WRONG = "def f(n):\n    return n\n"
SAYS = "def f(n):\n    print('hi', n)\n"
PATH = "from pathlib import Path\ndef f(a):\n    return Path(a) / 'b'\n"
MATCH = "import re\ndef f(s):\n    return re.match(r'\\d+', s)\n"
STRING_IO = "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    f(1)\n"
PATCHED = (
    "from unittest.mock import patch\nimport io\nwith patch('sys.stdout', new_callable=io.StringIO) as m:\n"
)
METHOD = (
    "import io, unittest\nfrom unittest.mock import patch\nclass T(unittest.TestCase):\n"
    "    @patch('sys.stdout', new_callable=io.StringIO)\n    def test_a(self, m):\n        f(1)\n"
)

NEGATIVE = "def f(n):\n    if n < 0:\n        raise ValueError('neg')\n    return n\n"
RAISES = [  # tests of an exception, which WRONG does not raise
    "import pytest\ndef test_a():\n    with pytest.raises(ValueError):\n        f(-1)\n",
    "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass\n",
    "raised = False\ntry:\n    f(-1)\nexcept ValueError:\n    raised = True\nassert raised\n",
    "def test_a():\n    try:\n        f(-1)\n    except ValueError:\n        return\n    assert False\n",
    "import contextlib\nhit = []\nwith contextlib.suppress(ValueError):\n    f(-1)\n    hit.append(1)\nassert not hit\n",
]
POINT = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int\ndef f():\n    return P(1, 2)\n"
ECHO = "def f():\n    t = 0\n    while True:\n        x = yield t\n        t += x or 0\n"
SENT = "g = f()\nassert next(g) == 0 and g.send(5) == 5 and g.send(2) == "
STREAM = "async def f():\n    for i in range(3):\n        yield i\n"
DRAWN = "import asyncio\nasync def go():\n    return [x async for x in f()]\nassert asyncio.run(go()) == "
COUNTDOWN = (
    "class A:\n    def __init__(self, n):\n        self.n = n\n    def __aiter__(self):\n        self.i = 0\n        return self\n"
    "    async def __anext__(self):\n        if self.i >= self.n:\n            raise StopAsyncIteration\n        self.i += 1\n"
    "        return self.i\n    async def __aenter__(self):\n        return self.n\n    async def __aexit__(self, *_):\n        pass\n"
)
CONTEXT = "from contextlib import contextmanager\n@contextmanager\ndef f():\n    yield 5\n"
NUMBER = (
    "class M:\n    def __init__(self, n):\n        self.n = n\n    def __int__(self):\n        return self.n\n"
    "    def __rmul__(self, k):\n        return M(self.n * k)\n    def __iadd__(self, o):\n        self.n += o.n\n        return self\n"
    "    def __eq__(self, o):\n        return self.n == o.n\n"
)
SKIPPED = "import pytest\n@pytest.mark.skip(reason='x')\ndef test_a():\n    assert f(1) == 2\n"

ROWS: list[tuple[str, str, str]] = [
    *((NEGATIVE, test, "pass") for test in RAISES),
    *((WRONG, test, "fail") for test in RAISES),
    (
        NEGATIVE,
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass\nassert 1 == 2\nassert f(1)",
        "unscorable",
    ),
    (POINT, "from dataclasses import asdict\nassert asdict(f()) == {'x': 1, 'y': 2}", "pass"),
    (POINT, "from dataclasses import asdict\nassert asdict(f()) == {'x': 1, 'y': 3}", "fail"),
    (
        POINT,
        "import dataclasses as d\nassert d.astuple(d.replace(f(), y=5)) == (1, 5) and d.is_dataclass(P)",
        "pass",
    ),
    (ECHO, f"{SENT}7", "pass"),
    (ECHO, f"{SENT}8", "fail"),
    (STREAM, f"{DRAWN}[0, 1, 2]", "pass"),
    (STREAM, f"{DRAWN}[0, 1]", "fail"),
    (COUNTDOWN, DRAWN.replace("f()", "A(2)") + "[1, 2]", "pass"),
    (
        COUNTDOWN,
        "import asyncio\nasync def go():\n    async with A(3) as x:\n        return x\nassert asyncio.run(go()) == 3",
        "pass",
    ),
    (CONTEXT, "with f() as x:\n    assert x == 5", "pass"),
    (CONTEXT, "with f() as x:\n    assert x == 6", "fail"),
    (NUMBER, "assert int(M(3)) == 3 and 3 * M(2) == M(6)\nm = M(1)\nm += M(2)\nassert m.n == 3", "pass"),
    (NUMBER, "assert 3 * M(2) == M(7)", "fail"),
    (
        "from abc import ABC\nclass A(ABC): pass\nclass B(A): pass\n",
        "assert issubclass(B, A) and not issubclass(A, B) and B()",
        "pass",
    ),
    (WRONG, SKIPPED, "unscorable"),
    (GOOD, SKIPPED, "unscorable"),
    ("    def f(n):\n        return n + 1\n", "assert f(1) == 2", "pass"),
    ("1. Idea\n2. Code:\n\n    def f(n):\n        return n + 1\n", "assert f(1) == 2", "pass"),
    (
        "```python\nimport math\n```\n\n```python\ndef f(n):\n    return math.floor(n) + 1\n```",
        "assert f(1) == 2",
        "pass",
    ),
    (SAYS, f"{STRING_IO}assert b.getvalue() == 'hi 2\\n'", "fail"),
    (SAYS, f"{STRING_IO}assert b.getvalue() == 'hi 1\\n'", "pass"),
    (SAYS, "def test_f(capsys):\n    f(1)\n    assert capsys.readouterr().out == 'hi 2\\n'\n", "fail"),
    (SAYS, f"{PATCHED}    f(1)\nassert m.getvalue() == 'hi 2\\n'", "fail"),
    (SAYS, f"{METHOD}        self.assertEqual(m.getvalue(), 'hi 2\\n')\n", "fail"),
    (SAYS, f"{METHOD}        self.assertEqual(m.getvalue(), 'hi 1\\n')\n", "pass"),
    (
        "import sys\ndef f():\n    sys.stderr.write('e')\n",
        "def test_f(capsys):\n    f()\n    assert capsys.readouterr().err == 'e'\n",
        "unscorable",
    ),
    ("def f(g):\n    g(1)\n", "seen = []\nf(seen.append)\nassert seen == [2]", "fail"),
    ("def f(g):\n    g(1)\n", "seen = []\nf(lambda x: seen.append(x))\nassert seen == [2]", "fail"),
    (WRONG, "ok = True\nfor i in range(3):\n    if f(i) != i + 1:\n        ok = False\nassert ok", "fail"),
    (
        WRONG,
        "held = 0\nfor i in range(3):\n    if f(i) == i + 1:\n        held += 1\nassert held == 3",
        "fail",
    ),
    (
        WRONG,
        "bad = []\nfor i in range(3):\n    if f(i) != i + 1:\n        bad.append(i)\nassert not bad",
        "fail",
    ),
    (GOOD, "assert f(1) == 2\nassert 1 == 2", "unscorable"),
    (GOOD, "assert f(1) == 2\nassert np.allclose(1, 1)", "unscorable"),
    (GOOD, "def test_f(tmp_path):\n    assert f(1) == 2", "unscorable"),
    (PATH, "from pathlib import Path\nassert f('a') == Path('a/b')\nassert str(f('a')) == 'a/b'", "pass"),
    (PATH, "from pathlib import Path\nassert f(Path('a')) == Path('a/c')", "fail"),
    (MATCH, "m = f('12a')\nassert m.group() == '12' and m[0] == '12' and f('a') is None", "pass"),
    (MATCH, "assert f('12a').group() == '13'", "fail"),
    (MATCH, "assert f('12a') == '12'", "fail"),
    ("1. Do:\n   ```python\n   def f(n):\n       return n + 1\n   ```\n", "assert f(1) == 2", "pass"),
    (f"<|begin_of_thought|>\n{GOOD}<|end_of_thought|>\n{WRONG}", "assert f(1) == 2", "fail"),
    (f"<|begin_of_thought|>\n{WRONG}<|end_of_thought|>\n{GOOD}", "assert f(1) == 2", "pass"),
    (f"◁think▷{WRONG}◁/think▷{GOOD}", "assert f(1) == 2", "pass"),
    (f"[BEGIN]\n{GOOD}[DONE]", "assert f(1) == 2", "pass"),
    (f"[BEGIN]\n{WRONG}[DONE]", "assert f(1) == 2", "fail"),
]


def test_programs_and_their_tests_are_read_as_they_are_meant() -> None:
    if safe_rung().name is None:
        pytest.skip(f"no safe rung of the sandbox here: {safe_rung().refused}")
    references = [json.dumps({"tests": [test]}) for _, test, _ in ROWS]
    verdicts = verify_many([program for program, _, _ in ROWS], references)
    wrong = [
        f"{verdict.outcome}, not {right}: {verdict.reason}: {program!r}, {test!r}"
        for (program, test, right), verdict in zip(ROWS, verdicts, strict=True)
        if verdict.outcome != right
    ]
    assert not wrong, "\n".join(wrong)
