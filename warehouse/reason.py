"""Why another library refused, in one line for a person: no dumps, no escape codes, and never a key."""

from __future__ import annotations

import os
import re

LONGEST = 300  # characters
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SAID = re.compile(r"<Code>(?P<code>[^<]*)</Code>.*?(?:<Message>(?P<message>[^<]*)</Message>|$)", re.DOTALL)
_AWAY = re.compile(r"error sending request|timed out|error reading a body|operation timed|connection closed")
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?(?P<host>[^/\s?]+)")
_KEYS_FROM_HOST = "169.254."  # where a machine in a cloud asks for its keys


def reason(error: BaseException) -> str:
    """What an error says: the store's own code and message, who did not answer, or its first words."""
    text = _COLOUR.sub("", str(error))
    said, host = _SAID.search(text), _HOST.search(text)
    if said:
        told = f"the store says {said['code']}: {said['message'] or 'and no more'}"
    elif _KEYS_FROM_HOST in text:
        told = "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif host and _AWAY.search(text):
        told = f"{host['host']} does not answer"
    elif "403 Forbidden" in text:
        told = "the store says 403: the keys are refused"
    else:
        told = text.split("Debug source")[0]
    for name in SECRETS:
        told = told.replace(os.environ.get(name) or "\0", "(a key)")
    return " ".join(told.split())[:LONGEST]
