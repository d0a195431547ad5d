"""The words of the practice world: names, things and sentence templates, one set for each family.

Slots: {h} who has the things now, {f} another person, {x} the number before the step, {n} the step's
own number, {t} the things, {u} the things after packing (or the containers of `groups`), {o} one thing
to buy, {e} an equation with its result. The held-out templates are other sentences, but every word of
them outside the slots also occurs in a practice template, so that what is learned can carry over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Family = Literal["practice", "varied", "new-numbers", "held-out"]


@dataclass(frozen=True)
class Phrases:
    """Everything that one family says, and nothing that the other one says."""

    names: tuple[str, ...]
    things: tuple[str, ...]
    containers: tuple[str, ...]
    goods: tuple[str, ...]
    openings: tuple[str, ...]
    questions: tuple[str, ...]
    steps: Mapping[str, tuple[str, ...]]
    """Question sentences by topic; those of `groups`, `change` and `time` are openings as well."""
    lines: Mapping[str, tuple[str, ...]]
    """Solution sentences by topic. They name nobody: the base is too small to spell new names."""

    def templates(self) -> tuple[str, ...]:
        """Every sentence template of the family, of questions and of solutions."""
        by_topic = [*self.steps.values(), *self.lines.values()]
        return (*self.openings, *self.questions, *(text for texts in by_topic for text in texts))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PRACTICE = Phrases(
    names=_words(
        "Tom Anna Ben Clara David Emma Frank Grace Henry Ivy Jack Kate Leo Mia Noah Olive Paul Rosa Sam "
        "Tina Victor Wendy Adam Bella Carl Diana Eric Fiona George Hannah Ian Julia Kevin Laura Mark "
        "Nina Oscar Peter Rachel Simon"
    ),
    things=_words(
        "apples books pencils marbles stickers cards shells stamps coins cookies flowers balloons stones "
        "eggs toys buttons candies oranges peaches ribbons pebbles beads bottles tickets pictures cups "
        "carrots plums feathers badges"
    ),
    containers=_words("boxes bags baskets cartons jars bowls"),
    goods=_words("kite ball lamp hat drum chair scarf clock"),
    openings=(
        "{h} has {x} {t}.",
        "In the morning {h} has {x} {t}.",
        "At the start {h} has {x} {t}.",
        "{h} owns {x} {t}.",
        "There are {x} {t} on the table, and all of them are owned by {h}.",
    ),
    questions=(
        "How many {t} does {h} have now?",
        "How many {t} does {h} have in the end?",
        "What is the number of {t} that {h} has?",
        "Now how many {t} are there in all for {h}?",
    ),
    steps={
        "giving": (
            "{h} gives {n} {t} to {f}.",
            "Then {h} gives away {n} of the {t}.",
            "On the way home {h} loses {n} {t}.",
            "{f} takes {n} {t} from {h}.",
            "{n} of the {t} are given to {f} by {h}.",
        ),
        "getting": (
            "{f} gives {n} more {t} to {h}.",
            "{h} gets {n} {t} from {f}.",
            "Then {h} finds {n} more {t}.",
            "{h} buys {n} more {t}.",
            "{n} {t} more are given to {h} by {f}.",
        ),
        "more": (
            "{f} has {n} more {t} than {h}.",
            "{f} owns {n} {t} more than {h}.",
            "Compared with {h}, {f} has {n} more {t}.",
            "{f} has as many {t} as {h} and {n} more.",
        ),
        "fewer": (
            "{f} has {n} fewer {t} than {h}.",
            "{f} owns {n} {t} fewer than {h}.",
            "Compared with {h}, {f} has {n} fewer {t}.",
            "{f} has fewer {t} than {h}, the difference is {n}.",
        ),
        "doubling": (
            "{f} has twice as many {t} as {h}.",
            "Then {h} doubles the number of {t}.",
            "{f} owns double the number of {t} that {h} has.",
            "Compared with {h}, {f} has twice the number of {t}.",
        ),
        "times": (
            "{f} has {n} times as many {t} as {h}.",
            "{f} owns {n} times the number of {t} that {h} has.",
            "Then {h} makes it {n} times as many {t}.",
            "Compared with {h}, {f} owns {n} times as many {t}.",
        ),
        "half": (
            "{h} gives half of the {t} to {f}.",
            "{f} has half as many {t} as {h}.",
            "On the way home {h} loses half of the {t}.",
            "{h} keeps only half of the {t}.",
            "Half of the {t} are given away by {h}.",
        ),
        "sharing": (
            "{h} shares the {t} equally among {n} friends, and {f} is one of them.",
            "{n} children share the {t} of {h} equally. One of them is {f}.",
            "All the {t} of {h} are shared equally by {n} friends. {f} is one of the friends.",
            "{h} gives all the {t} to {n} children, the same number to each. {f} is one of them.",
        ),
        "packing": (
            "{h} packs the {t} into {u} of {n}.",
            "{h} puts all the {t} into {u}, {n} {t} in each.",
            "{h} fills {u} with {n} {t} each.",
            "All the {t} go into {u} that hold {n} each, and {h} keeps the {u}.",
        ),
        "groups": (
            "{h} has {x} {u} with {n} {t} in each.",
            "There are {x} {u}. {h} puts {n} {t} into each of them.",
            "{h} fills {x} {u} with {n} {t} each.",
            "{h} owns {x} {u}, and each of the {u} holds {n} {t}.",
        ),
        "change": (
            "The {o} costs {x} dollars. {h} pays with {n} dollars and keeps the change.",
            "{h} buys the {o} for {x} dollars, pays {n} dollars and gets the change.",
            "{h} has {n} dollars and pays {x} dollars for the {o}.",
            "With {n} dollars {h} buys the {o} that costs {x} dollars.",
        ),
        "time": (
            "{h} makes {x} {t} every day. That goes on for {n} days.",
            "Every hour {h} finds {x} {t}, and {h} works for {n} hours.",
            "{h} gets {x} {t} each week for {n} weeks.",
            "For {n} days {h} buys {x} {t} each day.",
        ),
    },
    lines={
        "giving": ("That leaves {e}.", "There are {e} left."),
        "getting": ("Now there are {e}.", "With them there are {e}."),
        "more": ("The larger number is {e}.", "That is {e}."),
        "fewer": ("The smaller number is {e}.", "That is {e}."),
        "doubling": ("Doubled, that makes {e}.", "Twice as many are {e}."),
        "times": ("That many times makes {e}.", "So many times that is {e}."),
        "half": ("Half of them are {e}.", "Half is {e}."),
        "sharing": ("Each one gets {e}.", "An equal share is {e}."),
        "packing": ("That fills {e}.", "Packed, that makes {e}."),
        "groups": ("In all there are {e}.", "Altogether that makes {e}."),
        "change": ("The change is {e}.", "Of the money {e} is left."),
        "time": ("In all that makes {e}.", "Over that time it is {e}."),
    },
)

HELD_OUT = Phrases(
    names=_words(
        "Yusuf Priya Mateo Ingrid Kofi Sakura Dmitri Amara Lukas Zara Hugo Leila Anders Chloe Rafael "
        "Thandi Viktoria Omar Sven Nadia"
    ),
    things=_words(
        "lemons crayons puzzles keys walnuts magnets postcards cherries candles spoons whistles melons "
        "bracelets acorns brushes mugs"
    ),
    containers=_words("trays crates tins sacks"),
    goods=_words("rug vase flute saddle wagon"),
    openings=(
        "All in all {h} owns {x} {t} at the start.",
        "On the table of {h} there are {x} {t}.",
        "{x} {t} are owned by {h}.",
    ),
    questions=(
        "In the end, how many {t} are there for {h}?",
        "What number of {t} does {h} have now?",
        "{h} now has how many {t} in all?",
    ),
    steps={
        "giving": (
            "To {f}, {h} gives {n} of the {t}.",
            "Then {f} takes away {n} of the {t} that {h} has.",
            "{h} loses {n} of the {t} on the way.",
        ),
        "getting": (
            "From {f}, {h} gets {n} more {t}.",
            "On the way home, {h} finds {n} more of the {t}.",
            "Then {n} more {t} are given by {f} to {h}.",
        ),
        "more": (
            "{f} has more {t} than {h}, it is {n} more.",
            "{f}, compared with {h}, owns {n} more {t}.",
            "There are {n} more {t} for {f} than for {h}.",
        ),
        "fewer": (
            "{f} has fewer {t} than {h}, it is {n} fewer.",
            "{f}, compared with {h}, owns {n} fewer {t}.",
            "There are {n} fewer {t} for {f} than for {h}.",
        ),
        "doubling": (
            "Twice as many {t} as {h} has are owned by {f}.",
            "{h} then makes it twice as many {t}.",
            "{f} has double the {t} of {h}.",
        ),
        "times": (
            "{n} times as many {t} as {h} has are owned by {f}.",
            "{f} has {n} times the {t} of {h}.",
            "{h} then makes the number of {t} {n} times as many.",
        ),
        "half": (
            "To {f}, {h} gives away half of the {t}.",
            "Of all the {t}, {h} keeps half.",
            "Half as many {t} as {h} has are owned by {f}.",
        ),
        "sharing": (
            "{f} is one of {n} friends. {h} shares all the {t} equally among them.",
            "Among {n} children, one of them {f}, the {t} of {h} are shared equally.",
            "The same number of the {t} is given by {h} to each of {n} friends, and one is {f}.",
        ),
        "packing": (
            "With {n} {t} in each, {h} fills {u}.",
            "Into {u} of {n} each {h} puts the {t}.",
            "{h} packs {n} of the {t} into each of the {u}.",
        ),
        "groups": (
            "In each of the {x} {u} of {h} there are {n} {t}.",
            "{x} {u} of {h} hold {n} {t} each.",
            "{h} puts {n} {t} into each of {x} {u}.",
        ),
        "change": (
            "{h} pays {n} dollars for the {o} that costs {x} dollars.",
            "For the {o}, {h} pays with {n} dollars, it costs {x} dollars, and {h} gets the change.",
            "Of the {n} dollars that {h} has, {x} dollars go away for the {o}.",
        ),
        "time": (
            "For {n} weeks {h} makes {x} {t} every week.",
            "{h} works for {n} hours and finds {x} {t} each hour.",
            "Each day {h} gets {x} {t}, and that goes on for {n} days.",
        ),
    },
    lines={
        "giving": ("Now that leaves {e}.",),
        "getting": ("Altogether there are now {e}.",),
        "more": ("The larger one is {e}.",),
        "fewer": ("The smaller one is {e}.",),
        "doubling": ("That makes twice as many, {e}.",),
        "times": ("That makes it {e}.",),
        "half": ("Half of that is {e}.",),
        "sharing": ("The share of each is {e}.",),
        "packing": ("All in all that fills {e}.",),
        "groups": ("In all that is {e}.",),
        "change": ("The money that is left is {e}.",),
        "time": ("In the end that makes {e}.",),
    },
)
