"""Programs that use asyncio or threads, where neither a socket nor a thread may be had.

An event loop without its self-pipe is all that asyncio needs in one thread. Threads are played: one that is
started runs to its end at once, in the same thread. A program whose threads wait for each other hangs, and
times out. Loaded only for texts that name these modules.
"""

from __future__ import annotations

from typing import Any


def prepare(text: str) -> None:
    """Makes this process ready for a program or a test that has these words in it."""
    if "async" in text:
        play_loops()
    if "hread" in text:
        play_threads()


def play_loops() -> None:
    """Event loops over `select`, without the pair of sockets by which other threads would wake them."""
    import asyncio
    import selectors

    class Loop(asyncio.SelectorEventLoop):
        def __init__(self) -> None:
            super().__init__(selectors.SelectSelector())

        def _make_self_pipe(self) -> None:
            self._ssock = self._csock = None
            self._internal_fds = 0

        def _close_self_pipe(self) -> None: ...

        def _write_to_self(self) -> None: ...

        async def shutdown_default_executor(self, *_: Any) -> None: ...

        def run_in_executor(self, executor: Any, function: Any, *arguments: Any) -> Any:  # type: ignore[override]
            future = self.create_future()
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)
            return future

    class Policy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = Loop

    asyncio.set_event_loop_policy(Policy())


def play_threads() -> None:
    """Threads and pools of threads that run what they are given at once."""
    import threading
    from concurrent import futures
    from concurrent.futures import thread

    def start(self: Any) -> None:
        if self._started.is_set():
            raise RuntimeError("threads can only be started once")
        self._started.set()
        try:
            self.run()
        except Exception as error:  # as a thread's, it ends the thread alone
            self._ended_by = error
        self._is_stopped = True

    class Pool(futures.Executor):
        def __init__(self, *_: Any, initializer: Any = None, initargs: Any = (), **__: Any) -> None:
            if initializer is not None:
                initializer(*initargs)

        def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Any:
            future: futures.Future[Any] = futures.Future()
            try:
                future.set_result(function(*arguments, **keywords))
            except Exception as error:
                future.set_exception(error)
            return future

    threading.Thread.start = start  # type: ignore[method-assign]
    threading.Thread.join = lambda self, timeout=None: None  # type: ignore[method-assign]
    threading.Thread.is_alive = lambda self: False  # type: ignore[method-assign]
    futures.ThreadPoolExecutor = thread.ThreadPoolExecutor = Pool  # type: ignore[misc,assignment]
