"""Jobs side by side: threads with a copy of the model each, for models too small to share out one job.

Threads that share one small matrix product wait for each other more than they compute, above all on a busy
machine; jobs of their own do not wait.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

import torch

from tasks.generate.embedded.forward import Forward
from tasks.generate.engine import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")
Answer = TypeVar("Answer")
Write = Callable[[Forward, Job, Progress], Result]


class Workers(Generic[Job, Result]):
    """`count` models at work: several with a thread each, or one in the caller's, with all of torch's."""

    def __init__(self, forward: Forward, count: int) -> None:
        self.count = count
        self._idle: SimpleQueue[Forward | None] = SimpleQueue()
        for each in (forward, *(copy.deepcopy(forward) for _ in range(count - 1))):
            self._idle.put(each)
        self._pool = _single_threads(count) if count > 1 else None

    def each(
        self, write: Write[Job, Result], jobs: Sequence[Job], progress: Progress | None
    ) -> Iterator[tuple[Job, Result]]:
        """Each job with its result, as they become ready. `progress` is called in the caller's thread."""
        if self._pool is None:
            for job in jobs:
                yield job, self._with_model(write, job, progress or _ignore)
            return
        news: SimpleQueue[int | Future[Result]] = SimpleQueue()
        running = {self._pool.submit(self._with_model, write, job, news.put): job for job in jobs}
        for future in running:
            future.add_done_callback(news.put)
        try:
            for future in _finished(news, len(running), progress or _ignore):
                yield running[future], future.result()
        finally:
            for future in running:
                future.cancel()

    def ask(self, question: Callable[[Forward], Answer]) -> Answer:
        """Asks one of the models, in the caller's thread."""
        forward = self._lent()
        try:
            return question(forward)
        finally:
            self._idle.put(forward)

    def close(self) -> None:
        """Ends the threads and frees the models; a later job raises RuntimeError."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool, self._idle = None, SimpleQueue()
        self._idle.put(None)

    def _with_model(self, write: Write[Job, Result], job: Job, report: Progress) -> Result:
        return self.ask(lambda forward: write(forward, job, report))

    def _lent(self) -> Forward:
        forward = self._idle.get()
        if forward is None:
            self._idle.put(None)
            raise RuntimeError("the engine is closed")
        return forward


def _finished(
    news: SimpleQueue[int | Future[Result]], count: int, progress: Progress
) -> Iterator[Future[Result]]:
    while count:
        item = news.get()
        if isinstance(item, int):
            progress(item)
        else:
            count -= 1
            yield item


def _single_threads(count: int) -> ThreadPoolExecutor:
    """A pool whose threads compute alone.

    Torch keeps the number for threads yet to come in one place; the caller's is put back when all run.
    """
    ready, before = threading.Barrier(count + 1), torch.get_num_threads()

    def alone() -> None:
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="embedded")
    for _ in range(count):
        pool.submit(alone)
    ready.wait()
    torch.set_num_threads(before)
    return pool


def _ignore(count: int) -> None:
    """Nobody listens to the progress."""
