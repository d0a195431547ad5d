"""A step of a round as Prefect tasks, one a shard of work: each asks the log, and does what it lacks.

No result is cached or persisted by Prefect: the log alone says what was done. Outside a flow run a step is
its plain function, so that a round needs no Prefect server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from schemas.errors import RatchetError

GROUP = 8  # cheap units in one commit

P = ParamSpec("P")
R = TypeVar("R")


def step_task(function: Callable[P, R]) -> Callable[P, R]:
    """In a flow run a Prefect task named after the function, tried three times unless the fault is ours or
    the user's; elsewhere the function itself.

    Tasks carry no tags: Prefect asks its server for a slot of every tag of every task, half a second each.
    Their flow runs do.
    """

    def worth_another_try(_: Any, __: Any, state: Any) -> bool:
        failure = state.result(raise_on_failure=False)
        return isinstance(failure, Exception) and not isinstance(failure, RatchetError)

    as_task: Callable[[Callable[P, R]], Callable[P, R]] = task(
        name=function.__name__.strip("_").replace("_", "-"),
        retries=2,
        retry_delay_seconds=1,
        retry_condition_fn=worth_another_try,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    step = as_task(function)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return step(*args, **kwargs) if in_flow_run() else function(*args, **kwargs)

    return run


def in_flow_run() -> bool:
    """Whether Prefect runs a flow here."""
    return FlowRunContext.get() is not None


def shards(ids: Sequence[str], size: int) -> list[list[str]]:
    """Ids in order, cut into shards."""
    ordered = sorted(ids)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
