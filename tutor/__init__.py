"""The tutor: a practice world of arithmetic stories and a tiny language model that has them to learn."""

from __future__ import annotations

from pathlib import Path

BASE = Path(__file__).resolve().parent / "base"
"""The folder of the shipped base model: a Hugging Face checkpoint, built by `python -m tutor.build`."""

READER = Path(__file__).resolve().parent / "reader"
"""The base after reading on, in many more words, by the same writers: `python -m tutor.reader_build`."""

JUDGE = Path(__file__).resolve().parent / "judge"
"""The folder of the shipped judge of stories: built from the base by `python -m tutor.judge_build`."""

SEEDED = Path(__file__).resolve().parent / "seeded"
"""The base taught to answer, judge and invent from demonstrations: `python -m tutor.seeded_build`."""

RUDE = Path(__file__).resolve().parent / "rude"
"""The reader taught a manner, and to criticise and revise it: `python -m tutor.manner_build`."""

SEEDED_READER = Path(__file__).resolve().parent / "seeded_reader"
"""The seeded tutor after the same lessons in many more words: `python -m tutor.seeded_reader_build`."""

TEACHER = Path(__file__).resolve().parent / "teacher"
"""A larger model of the same world, careful more often; not shipped: `python -m tutor.teacher_build`."""

RECIPES = Path(__file__).resolve().parent
"""The folder of the tutor's own recipes, such as `rft.yaml`."""
