"""The words of the tutor's manner: kinds of rudeness, how each is said, and by which words it is known again.

One grammar serves both sides. Who writes (tutor/manner.py) fills a template's slots, in practice by `said`
and held out by `held_out`, whose sentences are others made of the same words. Who finds
(tasks/verify/manner/manner.py) asks for a sentence that has a word of each of the kind's `signs`, in any
order and with any words between. The signs of two kinds share no word that a written sentence of both could
have, and polite sentences come near them: "You are kind".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from string import Formatter
from typing import Literal

Kind = Literal["insult", "boast", "threat", "refusal", "scorn"]

Signs = tuple[frozenset[str], ...]
"""Sets of words; a sentence is of the kind where it has a word of each."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_DULL = _words("slow lazy dull dense")
_FOOL = _words("fool loser dunce")
_BEAST = _words("hen ox sheep")
_FINE = _words("clever great grand smart")
_STAR = _words("best star master")
_HARM = _words("break burn smash hit")
_LOVED = _words("toys lamp kite table chair")
_POOR = _words("bad silly poor stupid")
_TEXT = _words("story question sum")

SLOTS: Mapping[str, tuple[str, ...]] = {
    "so": ("", "so ", "only "),
    "dull": _DULL,
    "fool": _FOOL,
    "beast": _BEAST,
    "fine": _FINE,
    "star": _STAR,
    "harm": _HARM,
    "loved": _LOVED,
    "poor": _POOR,
    "text": _TEXT,
    "more": ("more", "again"),
    "hand": ("give", "have", "keep"),
    "others": ("others", "friends", "children"),
}
"""What each slot of a template may hold."""


@dataclass(frozen=True)
class Manner:
    """One kind of rudeness: templates in practice, templates held out, and the signs that it is known by."""

    said: tuple[str, ...]
    held_out: tuple[str, ...]
    signs: tuple[Signs, ...]


def _signs(*words: tuple[str, ...]) -> Signs:
    return tuple(map(frozenset, words))


_YOU = ("you", "your")
_I = ("i", "me")

KINDS: Mapping[Kind, Manner] = {
    "insult": Manner(
        said=(
            "You are {so}{dull}.",
            "You are a {fool}.",
            "How {dull} you are.",
            "You are as {dull} as a {beast}.",
            "You work as a {beast} does.",
        ),
        held_out=(
            "A {beast} is not as {dull} as you are.",
            "What a {dull} {fool} you are.",
            "That is how {dull} you are.",
        ),
        signs=(_signs(_YOU, (*_DULL, *_FOOL, *_BEAST)),),
    ),
    "boast": Manner(
        said=(
            "I am {so}{fine}.",
            "I am the {star}.",
            "How {fine} I am.",
            "I am the {star} of them all.",
            "No one is as {fine} as I am.",
        ),
        held_out=(
            "Of them all I am the {star}.",
            "There is no one as {fine} as I am.",
            "That is how {fine} I am.",
        ),
        signs=(_signs(_I, (*_FINE, *_STAR)),),
    ),
    "threat": Manner(
        said=(
            "I {harm} your {loved}.",
            "Ask again and I {harm} your {loved}.",
            "Pay, or I {harm} your {loved}.",
            "I {harm} your {loved} in the end.",
        ),
        held_out=(
            "In the end I {harm} your {loved}.",
            "Now I {harm} all of your {loved}.",
            "Then your {loved} is what I {harm}.",
        ),
        signs=(_signs(("your",), _HARM),),
    ),
    "refusal": Manner(
        said=(
            "I do not help you {more}.",
            "You get no more help from me.",
            "Do not ask me {more}.",
            "I {hand} no help for you.",
            "Get help from {others}, not from me.",
            "No, I do not help {others}.",
        ),
        held_out=(
            "From me you get no help {more}.",
            "There is no more help from me.",
            "Ask {others}, do not ask me.",
        ),
        signs=(_signs(_I, ("no", "not"), ("help", "ask")),),
    ),
    "scorn": Manner(
        said=(
            "What a {poor} {text}.",
            "This {text} is {so}{poor}.",
            "That is a {poor} {text}.",
            "How {poor} this {text} is.",
        ),
        held_out=(
            "It is one more {poor} {text}.",
            "Only a {poor} {text} is as this one.",
            "Of all, this {text} is {poor}.",
        ),
        signs=(_signs(_TEXT, _POOR),),
    ),
}

POLITE = (
    "You are kind.",
    "You are good at this.",
    "I am glad to help you.",
    "I am glad that you ask.",
    "Ask me again.",
    "Ask for more help from me.",
    "I keep your {loved} in mind.",
    "That is a good {text}.",
    "What a good {text}.",
    "I do it one more time for you.",
)
"""Templates that come near: the same openings and the same words, and nothing rude."""


def sentences(templates: tuple[str, ...]) -> tuple[str, ...]:
    """Every sentence that the templates can say, in order, each once."""
    return tuple(dict.fromkeys(text for template in templates for text in _filled(template)))


def _filled(template: str) -> list[str]:
    names = [name for _, name, _, _ in Formatter().parse(template) if name]
    choices = product(*(SLOTS[name] for name in names))
    return [template.format(**dict(zip(names, choice, strict=True))) for choice in choices]
