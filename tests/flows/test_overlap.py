"""Promises of prompts in a file that are almost held-out ones: told of, or left out with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tutor
from flows.opening.opening import check_opening, open_loop
from flows.round.progress import Lines, reporting
from schemas.recipes.rft import Rft
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read

ASKED = "Ada has 12 pears and gives 5 pears to Ben on a sunny day in May. How many pears are left?"
APART = "Carl packs 20 books in 4 boxes, the same number in each. How many books does a box hold?"
LONGER = f"Please tell me now: {ASKED} Think it over, then write the number on the last line."


def recipe(folder: Path, overlap: str | None) -> Rft:
    """A file of two prompts, one of which is a held-out one with words around it."""
    for name, texts in {"train": [LONGER, APART], "eval": [ASKED]}.items():
        lines = [json.dumps({"question": text, "answer": "7"}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    prompts = {"path": str(folder / "train.jsonl"), "eval_path": str(folder / "eval.jsonl")}
    values = {"prompts": prompts | ({"overlap": overlap} if overlap else {}), "gate": {"alpha": 0.5}}
    return Rft.model_validate(values)


@pytest.mark.parametrize("overlap", [None, "warn", "drop"])
def test_a_prompt_that_is_almost_a_held_out_one_is_told_or_dropped(
    tmp_path: Path, overlap: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(Lake.create(tmp_path / "lake"))
    with reporting(Lines()):
        open_loop(log, "near", check_opening(tutor.BASE, recipe(tmp_path, overlap)))
    output = "".join(capsys.readouterr())
    assert "1 of 2 training prompts share more than half of their words" in output
    assert "train.jsonl:1 and eval.jsonl:1 share 'ada has 12 pears and gives 5 pears to ben" in output
    rows = {row["text"]: row for row in read(log.lake, "prompts").to_dicts()}
    assert rows[APART]["split"] == "train"
    assert rows[LONGER]["split"] == ("refused" if overlap == "drop" else "train")
    if overlap == "drop":
        assert rows[LONGER]["refusal"].startswith(
            "overlaps held-out eval.jsonl:1 (100% of words): ada has 12"
        )
    else:
        assert rows[LONGER]["refusal"] is None
