"""Promises of several prompts in one text: the list is cut at its numbers, and each item knows its list."""

from __future__ import annotations

import polars as pl
import pytest

from schemas.identity import IDENTITIES, answer_id
from schemas.tables import CANDIDATES
from tasks.filter.first import first
from tasks.invent.inventor import inventor_names, load_inventor
from tasks.invent.listed import item_rows, items


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("1. Name a bird.\n2. Name a fish.", ["Name a bird.", "Name a fish."]),
        ("Here they are:\n\n1) One\n2) Two\nwith a second line\n", ["One", "Two\nwith a second line"]),
        ("  1: One\n\t2: Two", ["One", "Two"]),
        ("1. One\n2. Two\n3. Three\n4. Four", ["One", "Two", "Three", "Four"]),
        ("4. Four\n5. Five", ["Four", "Five"]),
        ("1. Sort:\n1. b\n3. c\n2. Two", ["Sort:\n1. b\n3. c", "Two"]),
        ("1. Sort:\n   1. b\n   2. a\n2. Two", ["Sort:\n   1. b\n   2. a", "Two"]),
        ("Name a bird.", ["Name a bird."]),
        ("1. Add 2.5 and 3. Then stop.\n2. Two", ["Add 2.5 and 3. Then stop.", "Two"]),
        ("1.\n2.", ["1.\n2."]),
        ("", [""]),
        ("2026. A year", ["2026. A year"]),
    ],
)
def test_a_list_is_cut_at_numbers_that_begin_a_line(text: str, cut: list[str]) -> None:
    assert items(text) == cut


def test_an_item_is_a_candidate_whose_parent_is_its_list_and_the_last_of_a_cut_off_list_is_cut_off() -> None:
    setting = {"checkpoint_id": "ckpt-00000-x", "seed": 7, "temperature": 1.0, "top_p": 1.0, "max_tokens": 9}
    one = {"prompt_id": "prompt-00000-x", "split": "invention", "settings": None, **setting}
    own = answer_id(2, one["prompt_id"], "ckpt-00000-x", 0, 7, 1.0, 1.0, 9)
    texts = {"candidate_id": own, "kind": "instruction-list", "sample_index": 0, "finish_reason": "length"}
    lists = CANDIDATES.frame([one | texts | {"text": "1. Name a bird.\n2. Name a fi"}])
    rows = item_rows(lists, 20, 2)
    assert rows["text"].to_list() == ["Name a bird.", "Name a fi"]
    assert rows["finish_reason"].to_list() == ["stop", "length"]
    assert rows["parents"].to_list() == [[own], [own]]
    assert set(rows["kind"]) == {"instruction"}
    identity = IDENTITIES["candidates"]
    known = rows.with_columns(round=2, loop=pl.lit("l"), critique_id=pl.lit(None, pl.String))
    formula = [identity.of(*values) for values in known.select(identity.columns).iter_rows()]
    assert rows["candidate_id"].to_list() == formula
    assert own not in formula
    assert item_rows(lists.clear(), 20, 2).is_empty()
    assert item_rows(lists, 1, 2)["finish_reason"].to_list() == ["stop"], "what was cut off is not among them"


def test_no_more_are_kept_than_are_wanted() -> None:
    frame = pl.DataFrame({"candidate_id": ["a", "b", "c"], "prompt_id": ["p", "p", "q"]})
    decisions = first(frame, 2)
    assert decisions["kept"].to_list() == [True, True, False]
    assert decisions["reason"].to_list() == [None, None, "enough were kept"]


def test_the_inventor_of_lists_comes_along_and_others_keep_their_labels() -> None:
    assert "instructions" in inventor_names()
    assert load_inventor("instructions").listed == 20
    assert load_inventor("story").listed == load_inventor("instruction").listed == 1
    assert "listed" not in load_inventor("story").model_dump()
    assert load_inventor("story").changed(listed=4).label != load_inventor("story").label
