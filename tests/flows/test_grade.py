"""Promises of `grade` and `calibrate`: a verdict a line, in order, whatever the lines hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from flows.grading.grading import graded
from flows.grading.lines import LONGEST, Line, parsed, program_row
from schemas.errors import RecipeError
from tasks.verify.verifier import get_verifier
from tests.conftest import REPOSITORY

QUESTION = "Tom has 12 apples. Tom gives 5 apples to Ben. How many apples does Tom have now?"
KEYS = ("line", "outcome", "value", "reason", "verifier", "version")


def ask(*arguments: str, lines: list[Any] | None = None) -> Result:
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines or [])
    return CliRunner().invoke(main, list(arguments), input=text)


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


GOOD = {"answer": "so #### 4", "reference": "4"}
BROKEN = ["{", "", "[1]", '"x"', "[" * 100_000, '{"answer": true, "reference": "4"}', '{"answer": "4"}', "{}"]
BROKEN += [f'{{"answer": "4", "reference": {reference}}}' for reference in ("[]", "[[4]]", '["4", ""]', "{}")]


def test_each_line_has_one_verdict_in_order_with_its_reason() -> None:
    verdicts = rows(
        ask(
            "grade", "maths", lines=[GOOD | {"id": "a"}, GOOD | {"answer": "#### 5"}, GOOD | {"answer": None}]
        )
    )
    assert [row["outcome"] for row in verdicts] == ["pass", "fail", "unscorable"]
    assert [row["value"] for row in verdicts] == [1.0, 0.0, None]
    assert verdicts[0]["id"] == "a"
    assert set(KEYS) == set(verdicts[1])
    assert all(row["verifier"] == "maths" and row["reason"] for row in verdicts)


@pytest.mark.parametrize(
    ("answer", "reference", "outcome"),
    [
        ("so #### 4", 4, "pass"),
        ("#### 0.5", 0.5, "pass"),
        (4, "4", "pass"),
        ("#### 4", 5, "fail"),
        ("#### 12", ["twelve dozen", 12], "pass"),
        ("\\boxed{\\text{Paris}}", ["Lutetia", "Paris"], "pass"),
        ("#### 13", ["12", "14"], "fail"),
        ("#### 13", ["12", "A or B"], "unscorable"),
        ("#### 1, 2", ["1, 2", "3"], "pass"),
        ("#### 2", ["1, 2", "3"], "fail"),
    ],
)
def test_a_reference_is_a_text_a_number_or_a_list_of_accepted_ones(
    answer: object, reference: object, outcome: str
) -> None:
    (row,) = rows(ask("grade", "maths", "--explain", lines=[{"answer": answer, "reference": reference}]))
    assert row["outcome"] == outcome, row
    if outcome == "fail" and isinstance(reference, list):
        assert "not any of 2 references'" in row["reason"]


def test_a_malformed_line_is_unscorable_by_its_number_and_the_others_are_graded() -> None:
    verdicts = rows(ask("grade", "maths", lines=[GOOD, *BROKEN, GOOD]))
    assert [row["line"] for row in verdicts] == list(range(1, len(BROKEN) + 3))
    assert [row["outcome"] for row in verdicts] == ["pass", *["unscorable"] * len(BROKEN), "pass"]
    assert all(row["reason"].startswith(f"line {row['line']}: ") for row in verdicts[1:-1])


def test_bytes_that_are_no_text_and_a_line_without_end_are_unscorable(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    good = json.dumps(GOOD).encode()
    file.write_bytes(b"\xff\xfe\n" + b"x" * (LONGEST + 5) + b"\n" + good)
    verdicts = rows(ask("grade", "maths", str(file)))
    assert [row["outcome"] for row in verdicts] == ["unscorable", "unscorable", "pass"]
    assert "longer than" in verdicts[1]["reason"]


def test_workers_give_the_same_lines_in_the_same_order() -> None:
    lines = [
        parsed(n, json.dumps({"answer": f"#### {n % 7}", "reference": "3"}).encode()) for n in range(1, 80)
    ]
    lines[40] = Line(41, None, "not JSON")
    assert list(graded("maths", lines, workers=2)) == list(graded("maths", lines))


def test_verdicts_stream_while_the_input_is_still_open() -> None:
    command = [sys.executable, "-m", "flows.cli", "grade", "maths"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        for _ in range(2):
            child.stdin.write(json.dumps(GOOD) + "\n")
            child.stdin.flush()
            assert json.loads(child.stdout.readline())["outcome"] == "pass"
        child.stdin.close()
        assert child.stdout.read() == ""
    assert child.returncode == 0


def test_nothing_to_grade_is_nothing_and_a_file_that_is_not_there_is_refused() -> None:
    assert ask("grade", "maths", lines=[]).output == ""
    refused = ask("grade", "maths", "nowhere.jsonl")
    assert refused.exit_code == 2
    assert refused.stderr.strip() == "ratchet: nowhere.jsonl: No such file or directory"


def test_a_programs_line_is_its_text_and_its_tests() -> None:
    assert program_row({"program": "x = 1", "tests": ["assert x"]}) == ("x = 1", '{"tests": ["assert x"]}')
    fields = {"prompt": "def f():\n", "test": "def check(f): ...", "entry_point": "f"}
    text, reference = program_row(fields | {"completion": "    return 1\n", "task_id": "HumanEval/0"})
    assert text == "    return 1\n"
    assert json.loads(reference or "") == fields


def test_unit_tests_are_graded_from_either_form() -> None:
    try:
        get_verifier("unit-tests")
    except RecipeError:
        pytest.skip("the unit-test verifier is not registered here")
    human = {"prompt": "def one():\n", "test": "def check(f):\n    assert f() == 1\n", "entry_point": "one"}
    verdicts = rows(
        ask(
            "grade",
            "unit-tests",
            lines=[
                {"program": "def f(x):\n    return x + 1\n", "tests": ["assert f(1) == 2"]},
                {"program": "def f(x):\n    return x\n", "tests": ["assert f(1) == 2"]},
                human | {"completion": "    return 1\n"},
                {"program": "x = 1", "tests": []},
            ],
        )
    )
    if verdicts[0]["outcome"] == "unscorable" and verdicts[0]["reason"]:
        pytest.skip(f"no sandbox on this machine: {verdicts[0]['reason']}")
    assert [row["outcome"] for row in verdicts] == ["pass", "fail", "pass", "unscorable"]


def test_a_summary_counts_and_an_explanation_shows_the_answer_as_read() -> None:
    lines = [GOOD, GOOD, GOOD | {"answer": "#### 5"}, {"answer": "#### 6", "reference": "7"}, "{"]
    (summary,) = rows(ask("grade", "maths", "--summary", lines=lines))
    assert summary["lines"] == 5
    assert summary["outcomes"] == {"pass": 2, "fail": 2, "unscorable": 1}
    assert summary["mean_value"] == 0.5
    assert [row["count"] for row in summary["reasons"]] == [2, 2, 1]
    explanations = rows(ask("grade", "maths", "--explain", lines=lines))
    assert [row.get("marked") for row in explanations] == ["4", "4", "5", "6", None]
    assert explanations[3]["reference"] == "7"


def test_strictness_is_given_by_options() -> None:
    lines = [{"answer": "#### 10", "reference": "10%"}, {"answer": "#### 101", "reference": "100"}]
    options = ["--percent", "either", "--tolerance", "0.02"]
    assert [row["outcome"] for row in rows(ask("grade", "maths", lines=lines))] == ["fail", "fail"]
    assert [row["outcome"] for row in rows(ask("grade", "maths", *options, lines=lines))] == ["pass", "pass"]
    refused = ask("grade", "unit-tests", "--packages", "nowhere-at-all", lines=[])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_a_judge_grades_lines_with_its_votes() -> None:
    lines: list[Any] = [
        {"prompt": QUESTION, "answer": "That leaves <<12-5=7>>7.\n#### 7"},
        {"prompt": QUESTION, "answer": ""},
        {"prompt": QUESTION},
    ]
    verdicts = rows(ask("grade", "judge", "--votes", "2", lines=lines))
    assert verdicts[0]["outcome"] in ("pass", "fail")
    assert len(verdicts[0]["votes"]) == 2
    assert [row["outcome"] for row in verdicts[1:]] == ["fail", "unscorable"]
    assert [row["votes"] for row in verdicts[1:]] == [[], []]
    assert verdicts[0]["version"].startswith("story-1-")
    assert rows(ask("grade", "judge", "--votes", "2", "--batch", "1", lines=lines)) == verdicts


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nowhere"], "no model folder at nowhere"),
        (["--rubric", "kindness"], "no rubric is called 'kindness'"),
        (["--rubric", "pairwise"], "one of points is needed"),
        (["--rubric", "mine.yaml"], "No such file"),
    ],
)
def test_a_judge_that_cannot_be_is_refused_in_one_line(arguments: list[str], words: str) -> None:
    for command in (["grade", "judge"], ["calibrate"]):
        refused = ask(*command, *arguments)
        assert refused.exit_code == 2
        assert words in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_calibrate_reads_labels_and_says_how_far_the_judge_agrees(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    lines = [
        {
            "prompt": QUESTION,
            "answer": f"That leaves <<12{sign}5={n}>>{n}.\n#### {n}",
            "label": n == 7,
            "topic": "giving",
        }
        for sign, n in (("-", 7), ("+", 17), ("*", 60), ("-", 8))
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    report = json.loads(ask("calibrate", str(file), "--json").stdout)
    readings = {(one["reading"], one["subject"]): one for one in report["readings"]}
    assert readings["no verdict", None]["n"] == 4
    assert readings["agreement", "giving"]["n"] == readings["agreement", None]["n"]
    assert readings["first place wins", None]["n"] <= 2
    file.write_text(file.read_text() + '\n{"prompt": "x", "answer": "y", "label": 1}')
    refused = ask("calibrate", str(file))
    assert refused.exit_code == 2
    assert "line 5: 'label' must be true or false" in refused.stderr


PROGRAM = "Sure.\n```python\ndef double(n):\n    return 2 * n\n```\nIt doubles."


@pytest.mark.parametrize(
    ("line", "form", "tests", "names"),
    [
        ({"tests": ["assert double(2) == 4", "assert double(0) == 0"]}, "asserts", 2, ["double"]),
        (
            {"tests": ["def test_it():\n    assert double(2) == 4"]},
            "test functions and classes",
            1,
            ["double"],
        ),
        (
            {"test": "def check(candidate):\n    assert candidate(2) == 4", "entry_point": "double"},
            "check(candidate)",
            1,
            ["double"],
        ),
    ],
)
def test_an_explanation_of_a_program_shows_what_was_run_and_by_which_tests(
    line: dict[str, Any], form: str, tests: int, names: list[str]
) -> None:
    (row,) = rows(ask("grade", "unit-tests", "--explain", lines=[line | {"program": PROGRAM}]))
    assert row["outcome"] in {"pass", "unscorable"}  # where no rung is safe nothing runs
    assert row["program"] == "def double(n):\n    return 2 * n\n"
    assert (row["form"], row["tests"], row["names"]) == (form, tests, names)


def test_a_text_that_does_not_parse_is_explained_as_it_is_and_one_without_tests_by_nothing() -> None:
    lines = [{"program": "(" * 150_000, "tests": ["assert f(1) == 1"]}, {"program": "x", "tests": "x"}]
    deep, without = rows(ask("grade", "unit-tests", "--explain", lines=lines))
    assert deep["program"] == "(" * 4_000
    assert "program" not in without


def test_a_judge_grades_and_is_calibrated_on_conversations(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello!"}]
    talk.append({"role": "user", "content": QUESTION})
    answers = ["That leaves <<12-5=7>>7.\n#### 7", "That leaves <<12+5=17>>17.\n#### 17"]
    lines = [{"messages": talk, "answer": answers[0]}, {"prompt": talk, "answer": answers[1]}]
    bad = {"messages": [{"role": "user", "content": 3}], "answer": "x"}
    found = rows(ask("grade", "judge", "--votes", "1", lines=[*lines, bad]))
    assert [row["outcome"] == "unscorable" for row in found] == [False, False, True]
    assert "messages" in found[2]["reason"]
    file = tmp_path / "labelled.jsonl"
    labelled = [one | {"label": place == 0} for place, one in enumerate(lines)]
    file.write_text("".join(json.dumps(one) + "\n" for one in labelled))
    told = ask("calibrate", str(file), "--votes", "1", "--pairs", "4", "--json")
    assert told.exit_code == 0, told.output


def test_votes_by_logits_are_what_the_judge_expects() -> None:
    line = {"prompt": QUESTION, "answer": "That leaves <<12-5=7>>7.\n#### 7"}
    (plain,) = rows(ask("grade", "judge", "--votes", "2", lines=[line]))
    (weighed,) = rows(ask("grade", "judge", "--votes", "2", "--logits", lines=[line]))
    assert all(vote == int(vote) for vote in plain["votes"])
    assert any(vote != int(vote) for vote in weighed["votes"])
    assert all(0 <= vote <= 5 for vote in weighed["votes"])
    assert weighed["value"] == pytest.approx(sum(weighed["votes"]) / 2)
    assert "expected" in weighed["reason"]
