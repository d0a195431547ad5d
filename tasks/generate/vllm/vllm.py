"""A vLLM server that a run starts on its own checkpoints, one at a time, and the engine in front of it.

The prompts go as token ids of our own rendering through ServedEngine, so that they equal the embedded
engine's.

Covered: new weights without a restart, where old and new folder differ in their tensors' values alone and the
probe (probe.py) sees that they took, else a restart; a server that dies while it writes (its answers are
drawn again by a new one, by the same seeds), a bounded number of times; any end of the run (supervisor.py).
The key that guards /v1 is drawn for each server. Not covered: what else runs on this machine can reach the
port, and vLLM guards nothing but /v1.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from schemas.engine import Endpoint, Vllm
from schemas.errors import EndpointError, EndpointRefused, ServerFailed
from schemas.job import Chat
from schemas.recipes.shared import Sampling
from tasks.generate.engine import Engine, Progress, Sample
from tasks.generate.served.served import ServedEngine
from tasks.generate.vllm.command import environment, flags, program
from tasks.generate.vllm.probe import Seen, computed, is_small, probe_ids, took
from tasks.generate.vllm.server import Say, Server, free_port
from tasks.generate.vllm.weights import content_of, folder_label, shape_of
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import check_folder, context_length, load_tokenizer
from tasks.models.conversation import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SETTLE = 10.0
"""Seconds after a failed call in which a server that lost its engine is seen to be gone."""
RELOAD_SECONDS = 600.0


@dataclass
class _Running:
    """A server and the folder whose weights it has, with what it made of the probe, and how far off that was
    at its start (nats).
    """

    server: Server
    name: str
    key: str
    scratch: Path
    folder: Path
    content: str
    chat: Chat
    probe: Seen | None = None
    deviation: float = 0.0

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON that a path answers; httpx.HTTPError where it does not, ValueError where it is none."""
        headers = {"authorization": f"Bearer {self.key}"}
        url = self.server.url + path
        answer = httpx.post(url, json=body, headers=headers, timeout=RELOAD_SECONDS, trust_env=False)
        return answer.raise_for_status().json()

    def stop(self) -> None:
        """End it; its log goes with it."""
        self.server.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)


class VllmServer:
    """At most one vLLM server, with the weights of whatever folder is asked for. Close it, or use it as a
    context.

    `say` hears of starts, changes of weights and deaths. Nothing is started before it is needed.
    """

    def __init__(self, settings: Vllm, say: Say | None = None) -> None:
        self.settings, self._say = settings, say or _ignore
        self._running: _Running | None = None
        self._lock = threading.RLock()
        self.starts = self.reloads = 0
        """Servers started, and changes of weights without a restart."""

    def engine(self, folder: Path, chat: Chat = PLAIN) -> Engine:
        """The engine of a folder that writes turns as `chat` says: each call makes sure that the server has
        its weights.
        """
        return _OfFolder(self, folder, chat)

    def generate(
        self,
        folder: Path,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
        chat: Chat = PLAIN,
    ) -> list[list[Sample]]:
        """See Engine.generate. ServerFailed where servers die more often than the settings allow."""
        counted_once = _Once(progress)
        with self._lock:
            for remaining in reversed(range(self.settings.restarts + 1)):
                running = self.serving(folder, chat)
                try:
                    return self._client(running).generate(prompts, sampling, seeds, counted_once.afresh())
                except (EndpointError, EndpointRefused) as error:
                    if not self._is_gone():
                        raise
                    self._bury(error, remaining)
        raise AssertionError("the last death raises")

    def serving(self, folder: Path, chat: Chat = PLAIN) -> _Running:
        """The server with the weights of `folder` and the ends of `chat`, started or changed as need be."""
        with self._lock:
            content, running = content_of(folder, chat), self._running
            if running is None or not running.server.runs or not self._has(running, folder, content, chat):
                self.close()
                running = self._running = self._start(folder, content, chat)
            running.chat = chat
            return running

    @property
    def runs(self) -> bool:
        """Whether there is a server now."""
        return self._running is not None and self._running.server.runs

    def close(self) -> None:
        """End the server; the next call starts one."""
        with self._lock:
            if self._running is not None:
                self._running.stop()
            self._running = None

    def __enter__(self) -> VllmServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, folder: Path, content: str, chat: Chat) -> _Running:
        check_folder(folder)
        first = program(self.settings)
        scratch = Path(tempfile.mkdtemp(prefix="ratchet-vllm-"))
        port, name, key = free_port(), f"ratchet-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        arguments = flags(self.settings, folder.resolve(), port=port, name=name, scratch=scratch, chat=chat)
        self._say(f"  vLLM: starting on {folder_label(folder)} (log: {scratch / 'server.log'})")
        start = time.monotonic()
        variables = environment(key, os.environ)
        server = Server([*first, *arguments], port, scratch / "server.log", environment=variables)
        running = _Running(server, name, key, scratch, folder, content, chat)
        try:
            server.wait(self.settings.start_seconds, say=self._say)
            running.probe = self._probed(running, folder)
            running.deviation = running.probe.deviation if running.probe else 0.0
        except BaseException:
            server.stop()  # the log stays, for whoever reads the error
            raise
        self.starts += 1
        off = f"; {running.deviation:.0e} nats off the folder's own weights" if running.probe else ""
        self._say(f"  vLLM: ready after {time.monotonic() - start:.0f} s{off}")
        return running

    def _has(self, running: _Running, folder: Path, content: str, chat: Chat) -> bool:
        """Whether the server has the weights of `folder` now; False: nothing is known of what it has."""
        if running.content == content:
            return True
        before = running.probe
        if before is None or not is_small(folder):
            return False
        if shape_of(folder, chat) != shape_of(running.folder, running.chat):
            return False
        running.content = (
            ""  # whatever comes between, its weights are known only once the probe has seen them
        )
        try:
            running.post("/collective_rpc", {"method": "ratchet_reload", "args": [str(folder.resolve())]})
            reset = running.post("/reset_prefix_cache")
            after = self._probed(running, folder)
        except (httpx.HTTPError, ValueError, ServerFailed):
            return False
        cleared = isinstance(reset, dict) and reset.get("success")
        if after is None or not cleared or not took(before, after, running.deviation):
            return False
        running.folder, running.content, running.probe = folder, content, after
        self.reloads += 1
        self._say(f"  vLLM: has the weights of {folder_label(folder)} now")
        return True

    def _probed(self, running: _Running, folder: Path) -> Seen | None:
        """The probe's log-probabilities by the server and by the folder; None where the folder is too large
        to load.
        """
        if not is_small(folder):
            return None
        config = json.loads((folder / "config.json").read_text("utf-8"))
        ids = probe_ids(config.get("text_config", config)["vocab_size"], self._context(folder))
        body = {"model": running.name, "prompt": ids, "max_tokens": 0, "echo": True, "logprobs": 0}
        try:
            answer = running.post("/v1/completions", body)
            served = tuple(map(float, answer["choices"][0]["logprobs"]["token_logprobs"][1:]))
        except (httpx.HTTPError, LookupError, TypeError, ValueError) as error:
            why = f"the server answers no probe ({type(error).__name__}): {running.server.last_words()}"
            raise ServerFailed(f"{why}; see {running.server.log}") from None
        return Seen(computed(folder, ids), served)

    def _context(self, folder: Path) -> int | None:
        return self.settings.max_model_len or context_length(folder)

    def _client(self, running: _Running) -> ServedEngine:
        endpoint = Endpoint(
            url=f"{running.server.url}/v1",
            model=running.name,
            api="completions",
            tokenizer=str(running.folder),
            together=True,
            in_flight=self.settings.in_flight,
            timeout=self.settings.timeout,
            retries=0,  # on loopback only a server that died does not answer
        )
        return ServedEngine(endpoint, running.key, running.chat)

    def _is_gone(self) -> bool:
        """Whether the server died: it notices the death of its engine a moment later."""
        assert self._running is not None
        deadline = time.monotonic() + SETTLE
        while self._running.server.healthy():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.25)
        return True

    def _bury(self, error: Exception, remaining: int) -> None:
        assert self._running is not None
        running, self._running = self._running, None
        running.server.stop()
        why = f"the server died while it wrote: {running.server.last_words()}"
        if not remaining:
            raise ServerFailed(f"{why}; that was server {self.starts}, see {running.server.log}") from error
        shutil.rmtree(running.scratch, ignore_errors=True)
        self._say(f"  vLLM: {why}; starting another ({remaining} more if need be)")


class _OfFolder:
    """The server with one folder's weights, as an engine."""

    def __init__(self, server: VllmServer, folder: Path, chat: Chat) -> None:
        self._server, self.folder, self._chat = server, folder, chat

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The folder's own, for whoever must know its special tokens."""
        return load_tokenizer(self.folder, self._chat)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """See Engine.generate."""
        return self._server.generate(self.folder, prompts, sampling, seeds, progress, self._chat)


class _Once:
    """Progress that counts no sample twice, however often a call begins again."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._shown, self._now = progress, 0, 0

    def afresh(self) -> Progress:
        """What to call from the beginning on."""
        self._now = 0
        return self._heard

    def _heard(self, count: int) -> None:
        self._now += count
        if self._progress is not None and self._now > self._shown:
            self._progress(self._now - self._shown)
        self._shown = max(self._shown, self._now)


def _ignore(line: str) -> None:
    """Nobody listens."""
