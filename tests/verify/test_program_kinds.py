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

ROWS: list[tuple[str, str, str]] = [
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
