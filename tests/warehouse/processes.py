"""Processes that work beside a test, forked from one that has loaded the warehouse and done nothing else."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "tests.warehouse.campaign"])


def process(target: Callable[..., object], *given: Any) -> BaseProcess:
    """A process that will call `target` in this environment, once started."""
    return CONTEXT.Process(target=_call, args=(dict(os.environ), target, given))


def _call(environment: dict[str, str], target: Callable[..., object], given: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*given)
