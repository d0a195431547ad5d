"""The formula of each kind of id, for those who write rows and those who check them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.ids import HEX_DIGITS, digest, make_id, round_of


def prompt_id(
    round_number: int,
    loop: str,
    split: str,
    source: str,
    line: int | None,
    text: str,
    messages: str | None = None,
    format_: str | None = None,
) -> str:
    """A prompt: its loop, split, source, line and text; of a conversation its messages too.

    A source in another format than JSONL counts as the JSONL file of its name, so that the same prompts have
    the same ids in any format.
    """
    conversation = [] if messages is None else [messages]
    name = source if format_ is None else f"{_stem(source, format_)}.jsonl"
    return make_id("prompt", round_number, loop, split, name, line, text, *conversation)


def _stem(source: str, format_: str) -> str:
    return source.rpartition("/")[2].removesuffix(".gz").removesuffix(f".{format_}").removesuffix(".jsonl")


def reference_id(round_number: int, loop: str, prompt: str) -> str:
    """The candidate that is a prompt's worked reference."""
    return make_id("cand", round_number, loop, prompt, "reference")


def demonstration_id(round_number: int, loop: str, prompt: str, index: int = 0) -> str:
    """The candidate that a file shows as a prompt's response: a seed set's one, or one side of a pair."""
    return make_id("cand", round_number, loop, prompt, "demonstration", *([index] if index else []))


def answer_id(
    round_number: int,
    prompt: str,
    checkpoint: str | None,
    index: int,
    seed: int | None,
    temperature: float | None,
    top_p: float | None,
    max_tokens: int | None,
    further: str | None = None,
) -> str:
    """A candidate: prompt, checkpoint, sample index, seed and sampling settings."""
    settings = (temperature, top_p, max_tokens, *([further] if further else []))
    return make_id("cand", round_number, prompt, checkpoint, index, seed, *settings)


def judgement_id(
    round_number: int,
    judged: Sequence[str],
    checkpoint: str | None,
    index: int,
    seed: int | None,
    temperature: float | None,
    top_p: float | None,
    max_tokens: int | None,
    further: str | None = None,
) -> str:
    """A judge's text: the candidates judged in the order shown, the judge, vote, seed and settings.

    The seed is a hash of the rubric and of what the judge was asked, and so stands for both.
    """
    settings = (checkpoint, index, seed, temperature, top_p, max_tokens, *([further] if further else []))
    return make_id("cand", round_number, "judgement", len(judged), *judged, *settings)


def revision_id(
    round_number: int,
    parents: Sequence[str],
    critique: str | None,
    checkpoint: str | None,
    index: int,
    seed: int | None,
    temperature: float | None,
    top_p: float | None,
    max_tokens: int | None,
    further: str | None = None,
) -> str:
    """A revision: the candidate revised, the critique that it follows, the writer, seed and settings."""
    settings = (temperature, top_p, max_tokens, *([further] if further else []))
    return make_id("cand", round_number, "revision", *parents, critique, checkpoint, index, seed, *settings)


def score_id(round_number: int, candidate: str, verifier: str, version: str, judge: str | None = None) -> str:
    """A score: the candidate, the verifier by name and version, and a judge by its checkpoint too."""
    return make_id("score", round_number, candidate, verifier, version, *([judge] if judge else []))


def preference_id(
    round_number: int,
    chosen: str,
    rejected: str,
    principle: str | None,
    judge: str | None,
    source: str | None = None,
) -> str:
    """A judged pair: the two candidates, whichever was chosen, the principle and the judge; of people's
    choice also where it stands.
    """
    people = [] if source is None else [source]
    return make_id("pref", round_number, *sorted((chosen, rejected)), principle, judge, *people)


def decision_id(
    round_number: int, loop: str, position: int, name: str, candidate: str, chain: str | None = None
) -> str:
    """A decision: the chain of filters, the filter by name and place in it, and the candidate.

    Lakes from before chains had names hold decisions without one.
    """
    return make_id("dec", round_number, loop, position, name, candidate, *([chain] if chain else []))


def critique_id(
    round_number: int, candidate: str, principle: str, checkpoint: str, index: int | None, seed: int | None
) -> str:
    """A critique: the candidate, the principle, and the critic with the index and seed of its sample."""
    return make_id("crit", round_number, candidate, principle, checkpoint, index, seed)


def snapshot_id(round_number: int, content_hash: str, objective: str, phase: str) -> str:
    """A snapshot: its content; in a phase, also phase and objective, since two phases may freeze the same."""
    within = digest((content_hash, objective, phase)) if phase else content_hash
    return f"snap-{round_number:05d}-{within[:HEX_DIGITS]}"


def training_id(
    round_number: int, loop: str, snapshot: str, base: str, hyperparameters: str, seed: int, objective: str
) -> str:
    """A training: what it reads, what it starts from, how it trains and for which objective."""
    return make_id("train", round_number, loop, snapshot, base, hyperparameters, seed, objective)


def example_id(candidate: str, rejected: str | None = None) -> str:
    """An example of a snapshot: its candidate; of a pair the chosen candidate, then the rejected one.

    The id does not depend on the round that trains on it.
    """
    return make_id("ex", round_of(candidate) or 0, candidate, *([rejected] if rejected else []))


def training_event_id(round_number: int, training: str, state: str, attempt: int = 0) -> str:
    """One state of a training; only failures come more than once."""
    return make_id("event", round_number, training, state, attempt)


def step_id(round_number: int, training: str, step: int) -> str:
    """An optimizer step."""
    return make_id("step", round_number, training, step)


def base_id(loop: str, content_hash: str, files_hash: str | None = None) -> str:
    """A loop's base checkpoint: the loop and its weights; where they are known, its other files too."""
    return make_id("ckpt", 0, loop, "base", content_hash, *([files_hash] if files_hash else []))


def guest_id(
    round_number: int, loop: str, role: str, content_hash: str, files_hash: str | None = None
) -> str:
    """A checkpoint that was not trained here: the loop, its role in it, its weights, and its other files."""
    return make_id("ckpt", round_number, loop, role, content_hash, *([files_hash] if files_hash else []))


def request_id(unit: str, checkpoint: str, prompt_hash: str, seed: int, sample_index: int) -> str:
    """A request to an endpoint: the unit that recorded it, the checkpoint, the prompt and the sample."""
    return make_id("req", int(unit.split("/")[1]), unit, checkpoint, prompt_hash, seed, sample_index)


def checkpoint_id(round_number: int, training: str) -> str:
    """A trained checkpoint: the training that made it."""
    return make_id("ckpt", round_number, training)


def evaluation_id(round_number: int, loop: str, checkpoint: str, suite: str, metric: str) -> str:
    """A measurement: checkpoint, suite and metric."""
    return make_id("eval", round_number, loop, checkpoint, suite, metric)


def audit_id(
    round_number: int, loop: str, monitor: str, metric: str, subject: str | None, against: str | None
) -> str:
    """A monitor's reading: its metric, its subject and what it is compared with."""
    return make_id("audit", round_number, loop, monitor, metric, subject, against)


def retraction_id(round_number: int, loop: str, what: str) -> str:
    """Something taken back: what it is, in the loop and round that have it on record."""
    return make_id("retr", round_number, loop, what)


def round_event_id(round_number: int, loop: str, event: str) -> str:
    """A round's `started` or `closed`."""
    return make_id("event", round_number, loop, event)


@dataclass(frozen=True)
class Identity:
    """How a table's ids follow from its rows: the columns they need, and the formula."""

    columns: tuple[str, ...]
    of: Callable[..., str]


def _candidate(
    round_: int,
    loop: str,
    kind: str,
    prompt: str,
    parents: Sequence[str] | None,
    further: str | None,
    critique: str | None,
    *settings: Any,
) -> str:
    if kind == "reference":
        return reference_id(round_, loop, prompt)
    if kind == "demonstration":
        return demonstration_id(round_, loop, prompt, settings[1])
    if kind == "judgement":
        return judgement_id(round_, parents or (), *(*settings, further))
    if kind == "revision":
        return revision_id(round_, parents or (), critique, *(*settings, further))
    return answer_id(round_, prompt, *(*settings, further))


def _checkpoint(
    round_: int, loop: str, role: str, training: str | None, content_hash: str, files_hash: str | None
) -> str:
    if training is not None:
        return checkpoint_id(round_, training)
    if role == "policy":
        return base_id(loop, content_hash, files_hash)
    return guest_id(round_, loop, role, content_hash, files_hash)


def _round_event(round_: int, loop: str, state: str) -> str:
    return round_event_id(round_, loop, "started" if state == "started" else "closed")


_SETTINGS = ("checkpoint_id", "sample_index", "seed", "temperature", "top_p", "max_tokens")
_VERIFIER = ("verifier", "verifier_version", "judge_checkpoint_id")
_JUDGE = ("principle", "judge_checkpoint_id")

IDENTITIES: Mapping[str, Identity] = {
    "prompts": Identity(
        ("round", "loop", "split", "source", "line", "text", "messages", "format"), prompt_id
    ),
    "candidates": Identity(
        ("round", "loop", "kind", "prompt_id", "parents", "settings", "critique_id", *_SETTINGS), _candidate
    ),
    "requests": Identity(("unit", "checkpoint_id", "prompt_hash", "seed", "sample_index"), request_id),
    "scores": Identity(("round", "candidate_id", *_VERIFIER), score_id),
    "preferences": Identity(("round", "chosen_id", "rejected_id", *_JUDGE, "source"), preference_id),
    "decisions": Identity(("round", "loop", "position", "filter", "candidate_id", "chain"), decision_id),
    "critiques": Identity(
        ("round", "candidate_id", "principle", "checkpoint_id", "sample_index", "seed"), critique_id
    ),
    "steps": Identity(("round", "training_id", "step"), step_id),
    "checkpoints": Identity(
        ("round", "loop", "role", "training_id", "content_hash", "files_hash"), _checkpoint
    ),
    "evaluations": Identity(("round", "loop", "checkpoint_id", "suite", "metric"), evaluation_id),
    "audits": Identity(("round", "loop", "monitor", "metric", "subject", "against"), audit_id),
    "rounds": Identity(("round", "loop", "state"), _round_event),
    "retractions": Identity(("round", "loop", "what"), retraction_id),
}
