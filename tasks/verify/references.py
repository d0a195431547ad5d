"""Several accepted references in one: a JSON list of texts, such as ["12", "a dozen"].

An answer that equals any of them is right. A list that is itself the answer is one text: "1, 2" or "{1, 2}".
"""

from __future__ import annotations

import json
from collections.abc import Sequence

MOST = 64  # references of one prompt


def reference_of(accepted: Sequence[str]) -> str:
    """One reference of several that are accepted; ValueError says what is wrong with them."""
    distinct = list(dict.fromkeys(one.strip() for one in accepted))
    if not distinct or "" in distinct:
        raise ValueError("a list of accepted answers is empty, or has an empty one")
    if len(distinct) > MOST:
        raise ValueError(f"more than {MOST} accepted answers")
    return distinct[0] if len(distinct) == 1 else json.dumps(distinct, ensure_ascii=False)


def accepted_of(reference: str) -> tuple[str, ...]:
    """The references that a reference accepts: itself, unless it is a list of several."""
    if not (reference.startswith('["') and reference.endswith('"]')):
        return (reference,)
    try:
        accepted = json.loads(reference)
    except (ValueError, RecursionError):
        return (reference,)
    several = len(accepted) > 1 and all(isinstance(one, str) and one.strip() for one in accepted)
    return tuple(accepted[:MOST]) if several else (reference,)
