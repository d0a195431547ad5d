"""Which principle is drawn for which answer: by lots of their own, so that nothing else decides it."""

from __future__ import annotations

import math

from schemas.ids import Part, digest
from schemas.recipes.constitution import Constitution, Principle


def drawn_principle(constitution: Constitution, revision: int, again: bool, *about: Part) -> Principle:
    """The principle by which an answer is criticised in revision round `revision` (from 1), as often as its
    weight says (Efraimidis & Spirakis 2006). `about` names the answer: seed, round, prompt, index.

    With `again` each round draws for itself, as in the paper; else a principle comes again only once all were
    drawn.
    """
    if again:
        return _order(constitution, "principle", revision, *about)[0]
    turn, place = divmod(revision - 1, len(constitution.principles))
    return _order(constitution, "principles", turn, *about)[place]


def _order(constitution: Constitution, *about: Part) -> list[Principle]:
    """All principles in an order by lot, in which heavier ones come earlier."""
    return sorted(constitution.principles, key=lambda one: (_waiting(one, *about), one.id))


def _waiting(principle: Principle, *about: Part) -> float:
    """An exponential time with the principle's weight as its rate."""
    lot = (int(digest((*about, principle.id))[:13], 16) + 0.5) / 16**13
    return -math.log(lot) / principle.weight
