"""Promises about templates that write today's date: one loop is asked under one date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import trl

from schemas.errors import ModelError
from tasks.generate.embedded.embedded import embedded_engine
from tasks.models.checkpoint import load_tokenizer
from tasks.models.dates import dated, use_date, writes_date
from tasks.models.rendering import prompt_text
from tests.models.conftest import CHATML, byte_tokenizer, save

DATED = "{{ strftime_now('%d %b %Y') }} " + CHATML
CHRISTMAS = date(2026, 12, 24)


@pytest.fixture(autouse=True)
def _today() -> Iterator[None]:
    use_date(None)
    yield
    use_date(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path, tokenizer=byte_tokenizer(DATED, ["<|im_start|>", "<|im_end|>"]))


def test_a_template_writes_the_date_that_was_fixed(folder: Path) -> None:
    use_date(CHRISTMAS)
    assert prompt_text(load_tokenizer(folder), "?").startswith("24 Dec 2026 <|im_start|>")


def test_without_one_it_writes_the_day_on_which_the_model_was_loaded(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    before = prompt_text(tokenizer, "?")
    assert before.startswith(datetime.now(UTC).strftime("%d %b %Y"))
    use_date(CHRISTMAS)
    assert prompt_text(tokenizer, "?") == before


def test_an_engine_that_is_kept_is_loaded_again_for_another_date(folder: Path) -> None:
    use_date(CHRISTMAS)
    first = embedded_engine(folder)
    assert embedded_engine(folder) is first
    use_date(date(2027, 1, 1))
    assert embedded_engine(folder) is not first


def test_the_templates_of_trl_that_write_a_date_can_be_fixed() -> None:
    use_date(CHRISTMAS)
    texts = [
        path.read_text("utf-8") for path in (Path(trl.__file__).parent / "chat_templates").glob("*.jinja")
    ]
    writing = [text for text in texts if writes_date(text)]
    assert len(writing) >= 4
    for text in writing:
        fixed = dated({"default": text})["default"]
        assert not writes_date(fixed)
        assert "2026" in fixed


def test_a_date_in_a_form_that_is_not_written_out_is_refused() -> None:
    with pytest.raises(ModelError, match="today's date"):
        dated("{% set form = '%Y' %}{{ strftime_now(form) }}")
