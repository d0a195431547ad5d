"""Speaks as much of vLLM's API as a run needs, by a table of log-probabilities: `python stand_in_vllm.py
FOLDER MANNER ...`.

FOLDER/tables.json has the probe's log-probabilities by model folder. Starts and changes of weights are noted
there. MANNER: honest; varied (its texts follow from prompt and seed); liar (says it changed its weights, and
did not); mute, curt (answers no JSON, or only yes, when it is told to); dies (with the first answer, each
time); once (one time).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

folder, manner = Path(sys.argv[1]), sys.argv[2]
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in ("--model", "--port", "--served-model-name", "--max-model-len"):
    parser.add_argument(flag)
given, _ = parser.parse_known_args(sys.argv[3:])
tables = json.loads((folder / "tables.json").read_text())
weights = [given.model]


def note(line: str) -> None:
    with (folder / "notes").open("a") as notes:
        notes.write(line + "\n")


def first_token(body: dict[str, Any], index: int) -> int:
    """The token before the end: " 4", or one of a hundred that lie about it."""
    text = f"{body['prompt']} {body['seed'] + index}"
    return 24 + zlib.crc32(text.encode()) % 100 if manner == "varied" else 24


def completion(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("echo"):
        logprobs = {"token_logprobs": [None, *tables[weights[0]]]}
        return {"choices": [{"index": 0, "text": "", "finish_reason": "length", "logprobs": logprobs}]}
    if manner == "dies" or (manner == "once" and not (folder / "died").exists()):
        (folder / "died").touch()
        print("RuntimeError: the stand-in has had enough", flush=True)
        os._exit(1)
    choices = [
        {
            "index": i,
            "text": " 4",
            "finish_reason": "stop",
            "token_ids": [first_token(body, i), 1],
            "logprobs": {"token_logprobs": [-0.5, -0.25]},
        }
        for i in range(body.get("n", 1))
    ]
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 2 * len(choices)}
    return {"choices": choices, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        model = {"id": given.served_model_name, "owned_by": "vllm", "max_model_len": int(given.max_model_len)}
        self.say({"object": "list", "data": [{"object": "model", **model}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
        if self.path == "/collective_rpc":
            note(f"reload {body['args'][0]}")
            if manner != "liar":
                weights[0] = body["args"][0]
            self.say({"results": [None]})
        elif self.path == "/reset_prefix_cache":
            self.say({"success": True} if manner != "curt" else True)
        else:
            self.say(completion(body))

    def say(self, value: Any) -> None:
        silent = manner == "mute" and self.path in ("/collective_rpc", "/reset_prefix_cache")
        data = json.dumps(value).encode() if not silent else b""
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


note(f"start {given.model}")
ThreadingHTTPServer(("127.0.0.1", int(given.port)), Handler).serve_forever()
