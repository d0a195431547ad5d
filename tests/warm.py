"""What every program of ours does first, done once before it is forked: the tutor's base is loaded.

Transformers sets up its tables of architectures with the first model that a process loads; a fork has them.
Nothing here starts a thread that outlives it: Polars, DuckDB and PyArrow are left to the programs.
"""

from __future__ import annotations

from tasks.models.checkpoint import load_model, load_tokenizer
from tutor import BASE

load_model(BASE)
load_tokenizer(BASE)
