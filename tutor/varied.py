"""The varied family's words: practice in many more ways to say it, for loops that are to read other words.

Templates are written with choices, `[Then|Later] {h} gives …`, and each is a template of its own. Most
names and things are made up, so that a model learns to read past words that it does not know. Nothing
of the held-out family is here: none of its sentences, names, things, containers or goods.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container, Mapping
from itertools import chain

from tutor.names import made_up
from tutor.phrases import HELD_OUT, PRACTICE, Family, Phrases

MADE_UP_PEOPLE, MADE_UP_THINGS, MADE_UP_CONTAINERS, MADE_UP_GOODS = 400, 400, 60, 60
_UNITS = ("day", "week", "hour")
_CHOICE = re.compile(r"\[([^][]*)\]")


def expanded(template: str) -> list[str]:
    """Every template that one with choices stands for, in order."""
    if "<day>" in template:
        return [text for unit in _UNITS for text in expanded(_in(unit, template))]
    choice = _CHOICE.search(template)
    if choice is None:
        return [template]
    before, after = template[: choice.start()], template[choice.end() :]
    return [text for option in choice[1].split("|") for text in expanded(before + option + after)]


def _in(unit: str, template: str) -> str:
    return template.replace("a <day>", f"{'an' if unit == 'hour' else 'a'} {unit}").replace("<day>", unit)


_THEN = "[|Then |Later |After that, |The next day, ]"

_OPENINGS = (
    "[|At first |Before all else |To begin with, ]{h} has [|got ]{x} {t}.",
    "[|At first |To begin with, ]{h} owns {x} {t}[| in all].",
    "[|At first |In the morning ]there are {x} {t} [with {h}|in the house of {h}|that {h} "
    "owns|that {h} has].",
    "{h} starts [|the day ]with {x} {t}.",
    "{h} [has|owns|holds] a number of {t}: {x}.",
    "{x} {t} [belong to {h}|are with {h}|lie in the house of {h}].",
    "Of {t}, {h} has {x}.",
    "The {t} of {h} are {x}[| in all| in number].",
)
_QUESTIONS = (
    "[How many|What number of] {t} [are with {h}|belong to {h}|are owned by {h}|are there "
    "with {h}] [now|in the end|after that]?",
    "[In the end|Now|After all that], [how many|what number of] {t} does {h} [own|hold|keep]?",
    "[In the end|After all that], how many {t} does {h} have?",
    "{h} has how many {t} [in the end|after that]?",
    "[|Now ]how many of the {t} does {h} [have|own]?",
    "[What|How many] is the number of {t} of {h} [now|in the end]?",
    "Of {t}, how many does {h} have [now|in the end]?",
    "For {h}, how many {t} is that in [all|the end]?",
)
_STEPS: Mapping[str, tuple[str, ...]] = {
    "giving": (
        _THEN + "{h} [hands|gives] {f} {n} {t}.",
        _THEN + "{h} [sells|loses|drops] {n} [of the |]{t}.",
        _THEN + "{n} [of the |]{t} go [from {h} to {f}|away|to {f}].",
        _THEN + "{n} {t} are [lost|sold|given away] by {h}.",
        "{f} [asks {h} for|gets] {n} of the {t}[| of {h}] and {h} gives them away.",
        "From {h}, {f} [takes|buys|gets] {n} {t}.",
        "{f} gets {n} {t} from {h}, who [keeps|has] the others.",
        "With {n} of the {t} given away, {h} keeps what is left.",
        "There are {n} {t} that {h} [gives|hands] to {f}.",
        "Of the {t}, {n} are [lost|taken|taken away] on the way home.",
        "Of the {t} that {h} has, {n} go to {f}.",
    ),
    "getting": (
        _THEN + "{f} [hands|gives] {h} {n} [more |]{t}.",
        _THEN + "{h} [finds|gets|buys|picks up] {n} other {t}.",
        _THEN + "{n} [more |]{t} [come to {h} from {f}|go from {f} to {h}].",
        "On the way home {h} [gets|buys|picks up] {n} {t}.",
        "{h} asks {f} for {n} {t} and gets them.",
        "{f} brings {n} {t}, all of them for {h}.",
        "To {h}, {f} gives {n} {t}[| more].",
        "With {n} [more|other] {t} from {f}, {h} has a larger number.",
        "There are {n} more {t} that {h} [finds|gets from {f}|buys].",
        "{n} [other|more] {t} are found by {h}.",
        "From {f} there are {n} {t} for {h}.",
    ),
    "more": (
        "[|But |And ]{f} has {n} more [|of the ]{t} than {h}[| has].",
        "The number of {t} that {f} has is {n} more than that of {h}.",
        "{f} owns all the number of {t} that {h} has, and {n} more.",
        "{h} has {n} fewer {t} than {f}. [Now it is about|Look at] {f}.",
        "[For|With] {f} it is {n} {t} more than [for|with] {h}.",
        "{f} has [a larger number of {t} than {h}|more {t} than {h}]: {n} more.",
        "More {t} than {h} has [belong to|are with] {f}, the difference is {n}.",
        "{n} more {t} than {h} has [belong to|are owned by] {f}.",
        "There are more {t} with {f} than with {h}, by {n}.",
        "Than {h}, {f} has {n} more {t}.",
        "{f} is {n} {t} over the number that {h} has.",
    ),
    "fewer": (
        "[|But |And ]{f} has {n} fewer [|of the ]{t} than {h}[| has].",
        "The number of {t} that {f} has is {n} fewer than that of {h}.",
        "{f} owns the number of {t} that {h} has, but {n} fewer.",
        "{h} has {n} more {t} than {f}. [Now it is about|Look at] {f}.",
        "[For|With] {f} it is {n} {t} fewer than [for|with] {h}.",
        "{f} has [a smaller number of {t} than {h}|fewer {t} than {h}]: {n} fewer.",
        "Fewer {t} than {h} has [belong to|are with] {f}, the difference is {n}.",
        "{n} fewer {t} than {h} has [belong to|are owned by] {f}.",
        "There are fewer {t} with {f} than with {h}, by {n}.",
        "Than {h}, {f} has {n} fewer {t}.",
        "{f} is {n} {t} under the number that {h} has.",
    ),
    "doubling": (
        "[|But |And ]{f} has twice [the number|as many] of the {t} of {h}.",
        "The number of {t} that {f} has is [twice|double] that of {h}.",
        _THEN + "[the number of {t} doubles for {h}|{h} has twice as many {t}|{h} doubles the {t}].",
        "With {f} there are twice as many {t} as with {h}.",
        "Twice the {t} of {h} [belong to|are with] {f}.",
        "As many {t} as {h} has, and as many once more, [belong to|are with] {f}.",
        "For each of the {t} of {h}, {f} has two.",
        "{f} owns [twice|double] what {h} has in {t}.",
        "[Double|Twice] the number of {t} that {h} has is what {f} owns.",
        "{h} makes the number of {t} [twice|double] what it was.",
    ),
    "times": (
        "[|But |And ]{f} has the {t} of {h} {n} times over.",
        "The number of {t} that {f} has is {n} times that of {h}.",
        _THEN + "the number of {t} [gets {n} times as large for {h}|of {h} is {n} times what it was].",
        "With {f} there are {n} times as many {t} as with {h}.",
        "{n} times the {t} of {h} [belong to|are with] {f}.",
        "For each of the {t} of {h}, {f} has {n}.",
        "{f} owns {n} times what {h} has in {t}.",
        "{n} times the number of {t} that {h} has is what {f} owns.",
        _THEN + "{h} has {n} times as many {t}.",
        "As many {t} as {h} has, {n} times over, [belong to|are with] {f}.",
    ),
    "half": (
        _THEN + "{h} [sells|loses|drops|hands away] half of the {t}.",
        _THEN + "half of the {t} [go to {f}|go away|are lost by {h}|are sold by {h}].",
        "{f} [takes|gets|buys] half of the {t} from {h}, who keeps the other half.",
        "The number of {t} that {f} has is half that of {h}.",
        "{h} gives {f} half of the {t}[|, and keeps half].",
        "With {f} there are half as many {t} as with {h}.",
        "Half the {t} of {h} are lost on the way home.",
        "Only half of the {t} [are left to|are kept by|stay with] {h}.",
        "From {h}, half of the {t} go to {f}.",
        "{f} owns half the number of {t} that {h} has.",
        "Half the number of {t} that {h} has is what {f} owns.",
    ),
    "sharing": (
        _THEN + "{h} [gives|hands] the {t} to {n} [friends|children] in equal shares. {f} [is "
        "one of them|gets one share].",
        _THEN + "{h} [divides|shares] the {t} [among|between] {n} [friends|children]. {f} gets "
        "[an equal share|one of the shares].",
        "{n} friends, and {f} is one of them, [share|divide] the {t} of {h} [equally|in equal shares].",
        "{f} is one of {n} [children|friends] who each get the same number of the {t} of {h}.",
        "The {t} of {h} go to {n} [children|friends], the same number to each. {f} is one of [them|the {n}].",
        "{f} and other [children|friends], {n} in all, share the {t} of {h} equally.",
        "For {n} [children|friends] {h} makes equal shares of the {t}. One share is for {f}.",
        "There are {n} [children|friends], and {f} is one. {h} gives each the same number of {t}.",
        "Each of {n} [children|friends] gets an equal share of the {t} from {h}. One of the {n} is {f}.",
        "Equally the {t} of {h} go to {n} friends, {f} and the others.",
    ),
    "packing": (
        _THEN + "{h} [packs|puts] {n} {t} [in each of the|in each of some] {u}, until all are packed.",
        _THEN + "all the {t} [are packed by {h} into|are put by {h} in] {u} of {n}.",
        "{h} makes {u} with {n} {t} each out of [all|all the {t}].",
        "Each of the {u} [holds|is for] {n} {t}, and {h} [fills them|packs all the {t}].",
        "In {u} that hold {n} {t} each, {h} [packs|keeps] all of them.",
        "{h} has {u} for {n} {t} each and [packs all the {t}|fills them with the {t}].",
        "Into each of the {u} go {n} of the {t}, and {h} keeps the {u}.",
        "{h} needs {u} for the {t}: {n} go in each.",
        "The {t} of {h} are packed, {n} {t} to each of the {u}.",
        "{n} at a time, {h} puts the {t} into {u}.",
    ),
    "groups": (
        "[|At first |In the morning ]{h} [has|owns|buys|packs] {x} {u} of {n} {t} each.",
        "[|At first |In the morning ]there are {x} {u} with {n} {t} in each, and {h} has them.",
        "{h} has {x} {u}. [Each|Each of them|Each one] [holds|has] {n} {t}.",
        "Each of the {x} {u} that {h} has [holds|is filled with] {n} {t}.",
        "{n} {t} are in each of {h}'s {x} {u}.",
        "Into {x} {u} go {n} {t} each, and all are owned by {h}.",
        "With {n} {t} in each, there are {x} {u} that {h} [owns|has].",
        "{h} gets {x} {u}, and there are {n} {t} in each one.",
        "{n} {t} go into the {u} of {h} at a time, and there are {x} {u}.",
        "{h} [owns|has] {t} in {x} {u}, {n} in each.",
    ),
    "change": (
        "[|In the morning ]{h} [buys|gets] the {o} [at|for] {x} dollars [with|out of] {n} dollars.",
        "[|At first ]{h} has {n} dollars. The {o} [costs|is sold for] {x} dollars, and {h} buys it.",
        "{h} gives {n} dollars for the {o} of {x} dollars and gets the change.",
        "The {o} is {x} dollars. Out of {n} dollars {h} keeps what is left.",
        "{x} dollars is what the {o} costs. {h} pays [with|out of] {n} dollars.",
        "Out of {n} dollars, {h} pays {x} [dollars |]for the {o}.",
        "{h} [starts with|owns] {n} dollars and [gives away|pays] {x} dollars to buy the {o}.",
        "From {n} dollars {h} takes {x} dollars for the {o}.",
        "To buy the {o} {h} pays {x} of {n} dollars.",
        "With {n} dollars to start with, {h} pays {x} dollars and gets the {o}.",
    ),
    "time": (
        "[Each|Every] <day> {h} [makes|finds|buys|gets] {x} {t}, for {n} <day>s in all.",
        "For {n} <day>s on end {h} [gets|makes|finds] {x} {t} a <day>.",
        "{h} [finds|makes|buys] {x} {t} a <day> for {n} <day>s.",
        "It is {n} <day>s, and in each one {h} [makes|gets] {x} {t}.",
        "{h} works {n} <day>s and makes {x} {t} in each.",
        "{x} {t} are made by {h} [every|each] <day>. That is done for {n} <day>s.",
        "In each of {n} <day>s {h} [gets|finds] {x} {t}.",
        "{x} {t} a <day> is what {h} makes, for {n} <day>s.",
    ),
}


def _templates(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text[0].upper() + text[1:] for each in texts for text in expanded(each)))


def _words(count: int, person: bool, rng: random.Random, said: Container[str]) -> tuple[str, ...]:
    """So many made-up names, none of which a template says."""
    made: dict[str, None] = {}
    while len(made) < count:
        word = made_up(person, rng)
        if word.lower() not in said and word.lower()[:-1] not in said:
            made[word] = None
    return tuple(made)


def _varied() -> Phrases:
    rng = random.Random("varied")  # noqa: S311
    openings, questions = _templates(_OPENINGS), _templates(_QUESTIONS)
    steps = {topic: _templates(texts) for topic, texts in _STEPS.items()}
    every = (*PRACTICE.templates(), *HELD_OUT.templates(), *openings, *questions, *chain(*steps.values()))
    said = set(re.findall(r"\w+", " ".join(every).lower()))
    return Phrases(
        names=PRACTICE.names + _words(MADE_UP_PEOPLE, True, rng, said),
        things=PRACTICE.things + _words(MADE_UP_THINGS, False, rng, said),
        containers=PRACTICE.containers + _words(MADE_UP_CONTAINERS, False, rng, said),
        goods=PRACTICE.goods + tuple(word[:-1] for word in _words(MADE_UP_GOODS, False, rng, said)),
        openings=PRACTICE.openings + openings,
        questions=PRACTICE.questions + questions,
        steps={topic: texts + steps[topic] for topic, texts in PRACTICE.steps.items()},
        lines=PRACTICE.lines,
    )


VARIED = _varied()

FAMILIES: Mapping[Family, Phrases] = {
    "practice": PRACTICE,
    "varied": VARIED,
    "new-numbers": PRACTICE,
    "held-out": HELD_OUT,
}
