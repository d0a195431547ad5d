"""Which models are the tutor's own: they have rubrics and an inventor of stories by default."""

from __future__ import annotations

import json
from pathlib import Path

MAKERS = {
    "base": "tutor.build",
    "judge": "tutor.judge_build",
    "seeded": "tutor.seeded_build",
    "reader": "tutor.reader_build",
    "rude": "tutor.manner_build",
    "seeded reader": "tutor.seeded_reader_build",
    "teacher": "tutor.teacher_build",
}
LONGEST = 1 << 20  # bytes


def tutor_of(folder: Path) -> str | None:
    """Which of the tutor's models a folder holds, wherever it lies: one name of MAKERS, or None.

    The folder's origin.json says so, as the script that made it wrote it; a training does not copy it.
    """
    path = folder / "origin.json"
    try:
        value = json.loads(path.read_bytes()) if path.stat().st_size <= LONGEST else {}
    except (OSError, ValueError, RecursionError):
        return None
    made_by = value.get("made_by") if isinstance(value, dict) else None
    return next((name for name, module in MAKERS.items() if made_by == f"python -m {module}"), None)
