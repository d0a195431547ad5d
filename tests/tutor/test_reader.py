"""Promises of the reader: its texts and weights are as stated, and it has read nothing that is held out."""

from __future__ import annotations

import json
from collections import Counter

from tasks.models.checkpoint import weights_hash
from tutor import BASE, READER
from tutor.phrases import HELD_OUT
from tutor.reader_build import RECIPE, readings
from tutor.varied import VARIED


def test_its_texts_are_the_same_for_the_same_seed_by_writers_of_both_kinds() -> None:
    texts = readings(3, 400)
    assert texts == readings(3, 400)
    assert texts != readings(4, 400)
    assert min(Counter(text.writer for text in texts).values()) > 100


def test_it_reads_no_held_out_word() -> None:
    said = {word for text in readings(0, 1500) for word in f"{text.question} {text.solution}".split()}
    theirs = {*HELD_OUT.names, *HELD_OUT.things, *HELD_OUT.containers, *HELD_OUT.goods}
    assert not {word.strip(".,?:'").lower() for word in said} & {word.lower() for word in theirs}
    assert len(VARIED.names) > len(HELD_OUT.names)


def test_the_shipped_weights_are_the_ones_that_origin_states() -> None:
    origin = json.loads((READER / "origin.json").read_text("utf-8"))
    assert weights_hash(READER) == origin["weights_sha256"]
    assert weights_hash(BASE) == origin["base"]
    assert origin["recipe"] == vars(RECIPE)
    assert origin["command"] == f"python -m tutor.reader_build --seed {origin['seed']}"
    assert sum(file.stat().st_size for file in READER.glob("*.safetensors")) <= 5_000_000
