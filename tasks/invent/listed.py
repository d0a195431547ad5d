"""Several prompts in one text: a numbered list, as Alpaca asked for (Taori et al. 2023), cut into its items.

An item begins at a number with a full stop, a bracket or a colon at the head of a line, and ends where the
next one begins: the number that follows, no further in than the first, so that a numbered list within an item
stays whole. What stands before the first is no item. A text without any is one item, for the filters of form
to judge. Items beyond those that were asked for are left out.
"""

from __future__ import annotations

import re

import polars as pl

from schemas.identity import answer_id
from schemas.tables import CANDIDATES

LIST = "instruction-list"
"""The kind of a text that holds several prompts."""
_NUMBER = re.compile(r"^([^\S\n]*)(\d{1,3})[.):][^\S\n]+", re.M)


def items(text: str) -> list[str]:
    """The items of a numbered list, white space around each taken off. It begins at its first number."""
    heads: list[re.Match[str]] = []
    for one in _NUMBER.finditer(text):
        follows = not heads or int(one[2]) == int(heads[-1][2]) + 1
        if follows and (not heads or len(one[1]) <= len(heads[0][1])):
            heads.append(one)
    if not heads:
        return [text.strip()]
    ends = [one.start() for one in heads[1:]] + [len(text)]
    return [text[one.end() : end].strip() for one, end in zip(heads, ends, strict=True)]


def item_rows(lists: pl.DataFrame, most: int, round_number: int) -> pl.DataFrame:
    """Rows of table `candidates` for the items of lists (rows of the same table), whose parent is their list.

    An item's `sample_index` is its place in the list, from 1. The last one of a list that was cut off is cut
    off too.
    """
    rows = []
    for one in lists.sort("candidate_id").to_dicts():
        own = items(one["text"])
        for place, text in enumerate(own[:most], start=1):
            settings = (one["temperature"], one["top_p"], one["max_tokens"], one["settings"])
            cut = one["finish_reason"] == "length" and place == len(own)
            rows.append(
                {
                    "candidate_id": answer_id(
                        round_number, one["prompt_id"], one["checkpoint_id"], place, one["seed"], *settings
                    ),
                    "prompt_id": one["prompt_id"],
                    "checkpoint_id": one["checkpoint_id"],
                    "kind": "instruction",
                    "split": one["split"],
                    "sample_index": place,
                    "text": text,
                    "finish_reason": "length" if cut else "stop",
                    "temperature": one["temperature"],
                    "top_p": one["top_p"],
                    "max_tokens": one["max_tokens"],
                    "seed": one["seed"],
                    "parents": [one["candidate_id"]],
                    "settings": one["settings"],
                }
            )
    return CANDIDATES.frame(rows) if rows else pl.DataFrame(schema=CANDIDATES.own_polars)
