"""The prompts of a loop so far: what a writer is shown examples of, and what new ones are held against."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.opening.demonstrations import demonstrations_unit
from flows.round.round import Round
from tasks.filter.held_out import HeldOut
from tasks.invent.novel import Earlier
from warehouse.lake import Where
from warehouse.query import read


class PromptsSoFar:
    """The loop's prompts so far: what examples are drawn from and what new ones are held against."""

    def __init__(self, round_: Round[Any]) -> None:
        where: Where = {"loop": round_.loop, "round": list(range(round_.number + 1))}
        rows = read(round_.lake, "prompts", where).sort("round", "text")  # ids carry the loop's name
        machine, now = pl.col("parents").is_not_null(), pl.col("round") == round_.number
        train = rows.filter((pl.col("split") == "train") & ~(machine & now))
        demonstrated = pl.col("unit") == demonstrations_unit(round_.loop, "instruction").key
        others = rows.filter((pl.col("split") == "refused") | demonstrated)
        texts = pl.col("messages").is_null()  # a writer is shown texts: conversations are no examples of one
        self.originals = _pairs(train.filter(~machine & texts))
        self.invented = _pairs(train.filter(machine))
        self._before = pl.concat([others, train]).select("prompt_id", "text")
        self._held_out = rows.filter(pl.col("split") == "eval").select("prompt_id", "text")
        self._added: list[pl.DataFrame] = []
        self._indexed: tuple[Earlier, HeldOut] | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Prompts that this round has invented."""
        ordered = rows.sort("line", "text")  # several of one text have its line
        self.invented += _pairs(ordered)
        self._added.append(ordered)
        if self._indexed is not None:
            _add(self._indexed[0], ordered)

    def indexed(self) -> tuple[Earlier, HeldOut]:
        """All training prompts and the held-out ones, indexed when that is first needed."""
        if self._indexed is None:
            earlier = Earlier()
            for rows in (self._before, *self._added):
                _add(earlier, rows)
            self._indexed = earlier, HeldOut(*_columns(self._held_out))
        return self._indexed


def _pairs(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Ids and texts."""
    return list(rows.select("prompt_id", "text").iter_rows())


def _columns(rows: pl.DataFrame) -> tuple[list[str], list[str]]:
    return rows["prompt_id"].to_list(), rows["text"].to_list()


def _add(earlier: Earlier, rows: pl.DataFrame) -> None:
    earlier.add(*_columns(rows))
