"""Many jobs in flight, from plain code: coroutines in a thread of their own, results as they finish.

Covered: at most `most` jobs run, and at most twice as many are begun and not yet taken, so that a slow taker
slows the jobs down; when a job fails no further one begins, and what the others bring is handed over before
the failure is raised; when the taker leaves, by an error or Ctrl-C, everything in flight is cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Tool = TypeVar("Tool")
Job = TypeVar("Job")
Result = TypeVar("Result")
Work = Callable[[Tool, Job], Awaitable[Result]]

TICK = 0.5
"""Seconds without a result after which the taker gets None, so that it can see to what it has."""


class Traffic(Generic[Tool, Job, Result]):
    """Jobs to do with one shared tool (an HTTP client); a job may append others to `jobs`."""

    def __init__(
        self,
        tool: Callable[[], AbstractAsyncContextManager[Tool]],
        work: Work[Tool, Job, Result],
        jobs: deque[Job],
        most: int,
    ) -> None:
        self.jobs = jobs
        self._tool, self._work, self._most = tool, work, most
        self._news: SimpleQueue[list[Result]] = SimpleQueue()  # an empty list: it is over
        self._failures: list[BaseException] = []
        self._loop = asyncio.new_event_loop()

    def results(self) -> Generator[Result | None, None, None]:
        """Each job's result as it finishes; None where nothing has come for a while."""
        thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        thread.start()
        try:
            while True:
                try:
                    news = self._news.get(timeout=TICK)
                except Empty:
                    yield None
                    continue
                if not news:
                    break
                self._loop.call_soon_threadsafe(self._room.release)
                yield news[0]
        finally:
            self._loop.call_soon_threadsafe(self._leave)
            thread.join()
            self._loop.close()
        if self._failures:
            raise self._failures[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._room = asyncio.Semaphore(2 * self._most)
        self._whole = self._loop.create_task(self._all())
        try:
            self._loop.run_until_complete(self._whole)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failures.append(error)
        finally:
            self._news.put([])
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    async def _all(self) -> None:
        async with self._tool() as tool, asyncio.TaskGroup() as group:
            for _ in range(min(self._most, len(self.jobs))):
                group.create_task(self._worker(tool))

    async def _worker(self, tool: Tool) -> None:
        while self.jobs and not self._failures:
            await self._room.acquire()
            if not self.jobs or self._failures:
                self._room.release()
                return
            try:
                self._news.put([await self._work(tool, self.jobs.popleft())])
            except Exception as error:
                self._failures.append(error)

    def _leave(self) -> None:
        self._whole.cancel()
