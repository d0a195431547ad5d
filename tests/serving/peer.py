"""An OpenAI-compatible server that is no part of the product: the embedded engine behind the API, with faults
to order.

It listens on loopback, in this process or as one of its own (`python -m tests.serving.peer`), keeps every
request that it answered, and fails as it is told to. A fault belongs to requests for one prompt, or to the
next so many requests.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.engine import Sample
from tasks.models.conversation import plain_text, prompt_of, read_messages
from tasks.models.rendering import prompt_ids

Answer = Callable[["Handler", dict[str, Any]], None]


class ById(EmbeddedEngine):
    """The embedded engine, asked by token ids; what it once drew it remembers."""

    def draw(self, ids: list[int], sampling: Sampling, seed: int) -> list[Sample]:
        """The samples of one prompt."""
        key = (tuple(ids), sampling, seed)
        if key not in _drawn:
            _drawn[key] = self.generate([ids], sampling, [seed])[0]  # type: ignore[list-item]
        return _drawn[key]

    def _encode(self, prompts: Sequence[Any], max_tokens: int) -> list[list[int]]:
        return [list(ids) for ids in prompts]


_drawn: dict[tuple[tuple[int, ...], Sampling, int], list[Sample]] = {}


@dataclass
class Peer:
    """The server's state. `faults` are taken one a request, from the first; `poison` answers prompts that
    hold a text.

    `n_is_ignored`: one choice a request, whatever is asked; `offers` is what /v1/models adds to the model's
    entry.
    """

    engine: ById
    key: str | None = None
    model: str = "tutor"
    faults: list[Answer] = field(default_factory=list)
    poison: dict[str, Answer] = field(default_factory=dict)
    offers: dict[str, Any] = field(default_factory=dict)
    logprobs: bool = True
    n_is_ignored: bool = False
    pause: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    lists: dict[str, Answer] = field(default_factory=dict)
    open_lists: bool = False
    seen: int = 0
    busy: int = 0
    most_busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, port: int = 0) -> Peer:
        """Listen on a port of loopback (0: a free one)."""
        self.server = _Server(("127.0.0.1", port), Handler)
        self.server.peer = self  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    @property
    def url(self) -> str:
        """The base of its API."""
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def stop(self) -> None:
        """Close the port."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def vllm(self) -> bool:
        """It says that it is a vLLM server."""
        return self.offers.get("owned_by") == "vllm"


class _Server(ThreadingHTTPServer):
    """Callers may be killed in the middle of an answer."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """The connection is gone; that is all."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    @property
    def peer(self) -> Peer:
        """The server's state."""
        return self.server.peer  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """The list of models."""
        self.peer.seen += 1
        if not self.peer.open_lists and not self._let_in():
            return
        if self.path in self.peer.lists:
            self.peer.lists[self.path](self, {})
            return
        if self.path != "/v1/models":
            self.say(404, {"error": {"message": f"no {self.path}"}})
            return
        self.say(200, {"object": "list", "data": [{"id": self.peer.model} | self.peer.offers]})

    def do_POST(self) -> None:
        """An answer, or the fault that is due."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.peer.seen += 1
        if not self._let_in():
            return
        peer = self.peer
        if not (body.get("messages") or body.get("prompt")):
            self.say(400, {"error": {"message": "messages are empty"}})
            return
        if self.path != f"/v1/{'chat/' if 'messages' in body else ''}completions":
            self.say(404, {"error": {"message": f"no {self.path}"}})
            return
        with peer.lock:
            peer.asked.append(body)
            peer.headers.append({name.lower(): value for name, value in self.headers.items()})
            peer.busy += 1
            peer.most_busy = max(peer.most_busy, peer.busy)
            fault = peer.faults.pop(0) if peer.faults else None
        try:
            page = json.dumps(body.get("messages") or body.get("prompt"))
            poison = next((answer for text, answer in peer.poison.items() if text in page), None)
            (fault or poison or _answer)(self, body)
        finally:
            with peer.lock:
                peer.busy -= 1

    def say(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        """A JSON value, or bytes as they are."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def cut(self, after: bytes = b"") -> None:
        """Close the connection in the middle of an answer."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + after)
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _let_in(self) -> bool:
        key = self.peer.key
        if key is None or self.headers.get("authorization") == f"Bearer {key}":
            return True
        self.say(401, {"error": {"message": f"Incorrect API key: {self.headers.get('authorization')}"}})
        return False


def status(code: int, message: str = "ordered", **headers: str) -> Answer:
    """An error of a status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, body: handler.say(code, {"error": {"message": message}}, named)


def says(value: object, code: int = 200, **headers: str) -> Answer:
    """A body, whatever it is."""
    return lambda handler, body: handler.say(code, value, headers)


def hangs(seconds: float) -> Answer:
    """No answer for so long, then one."""

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return answer


def cuts(handler: Handler, body: dict[str, Any]) -> None:
    """The connection is lost in the middle of the answer."""
    handler.cut(b'{"choices"')


def leaves(handler: Handler, body: dict[str, Any]) -> None:
    """The connection is closed without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def changed(change: Callable[[dict[str, Any]], Any]) -> Answer:
    """A real answer, after a change."""
    return lambda handler, body: handler.say(200, change(answer_to(handler.peer, body)))


def _answer(handler: Handler, body: dict[str, Any]) -> None:
    handler.say(200, answer_to(handler.peer, body))


def answer_to(peer: Peer, body: dict[str, Any]) -> dict[str, Any]:
    """What the model writes, as the API shows it."""
    chat = "messages" in body
    count = 1 if peer.n_is_ignored else int(body.get("n", 1))
    limit = int(body.get("max_tokens") or body["max_completion_tokens"])
    sampling = Sampling(
        samples=count,
        max_tokens=limit,
        **{name: body[name] for name in ("temperature", "top_p") if name in body},
        **{name: body[name] for name in ("stop", "top_k", "min_p", "repetition_penalty") if name in body},
    )
    prompt = prompt_of(read_messages(body["messages"])) if chat else body["prompt"]
    tokenizer = peer.engine.tokenizer
    if chat:
        ids = prompt_ids(tokenizer, prompt)
    else:
        ids = tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
    samples = peer.engine.draw(ids, sampling, int(body.get("seed", 0)))
    time.sleep(peer.pause)
    with peer.lock:
        key = json.dumps(plain_text(prompt) if chat else prompt)
        peer.answered.update((key, one.seed) for one in samples)
        peer.tokens += len(ids) + sum(one.token_count or 0 for one in samples)
    return {
        "object": "chat.completion" if chat else "text_completion",
        "model": peer.model,
        "choices": [_choice(peer, one, body) for one in samples],
        "usage": {
            "prompt_tokens": len(ids),
            "completion_tokens": sum(one.token_count or 0 for one in samples),
        },
    }


def _choice(peer: Peer, one: Sample, body: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": one.index, "finish_reason": one.finish_reason}
    if "messages" in body:
        choice["message"] = {"role": "assistant", "content": one.text}
    else:
        choice["text"] = one.text
    if peer.logprobs and body.get("logprobs") is not None:
        if "messages" in body:
            choice["logprobs"] = {"content": [{"token": "", "logprob": p} for p in one.token_logprobs]}
        else:
            choice["logprobs"] = {"token_logprobs": list(one.token_logprobs)}
    if peer.vllm and body.get("return_token_ids"):
        choice["token_ids"] = list(one.token_ids)
    return choice
