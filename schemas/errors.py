"""The error tree: every way Ratchet says no, each with one clear line for the person who reads it.

RatchetError                     exit 1; everything below is one
├── BadInput                     exit 2; what the user gave cannot be used; nothing was written
│   ├── RecipeError              a recipe with an unknown key or a value out of range
│   ├── PromptFileError          a prompt file that is missing, empty or malformed (the line is named)
│   ├── ModelError               a model folder that cannot be loaded safely
│   ├── EndpointRefused          an endpoint that is dead, refuses the key or has no such model
│   └── QueryError               SQL that is not one SELECT over the lake's views
├── LakeError                    the lake is not what it should be
│   ├── SchemaMismatch           written by another schema version
│   ├── LogDamaged               a log entry is empty or does not parse
│   ├── UnitConflict             rows that do not fit the unit that writes them
│   ├── RoundSealed              an append to a round that is closed for ever
│   ├── LakeBusy                 another process holds what only one may hold
│   └── NotFound                 no such loop, checkpoint, candidate or snapshot
├── EndpointError                an endpoint gave out under way: its round stays open
│   ├── ServerFailed             a server of our own that does not get healthy, or dies again and again
│   ├── BudgetSpent              the next request could cost more than the budget has left
│   └── RequestFailed            a request failed for good where every answer was needed
├── CommitOutcomeUnknown         a commit may or may not have landed: look again, never append blindly
├── NightStopped                 a round stopped its night; everything is recorded
├── SnapshotMismatch             a snapshot's content is not what its id says
└── TrainingFailed               a fine-tuning job ended without a usable checkpoint
"""

from __future__ import annotations


class RatchetError(Exception):
    """Anything Ratchet refuses or cannot do. `str(error)` is one line: what, where, what to do."""

    exit_code = 1


class BadInput(RatchetError):
    """What the user gave cannot be used. Nothing was written."""

    exit_code = 2


class RecipeError(BadInput):
    """A recipe has an unknown key, or a value outside its range."""


class PromptFileError(BadInput):
    """A prompt file is missing, empty or malformed; a malformed line is named by its number."""


class ModelError(BadInput):
    """A model folder has no config, tokenizer or safetensors weights, or they do not fit."""


class EndpointRefused(BadInput):
    """An endpoint that cannot be used as asked: dead, a wrong key, no such model, a redirect."""


class QueryError(BadInput):
    """SQL that is not a single SELECT over the lake's views, or that DuckDB refused."""


class LakeError(RatchetError):
    """The lake on disk is not what it should be."""


class SchemaMismatch(LakeError):
    """The lake was written by another schema version of Ratchet."""


class LogDamaged(LakeError):
    """A log entry is empty or does not parse; appending to it would lose facts silently."""


class UnitConflict(LakeError):
    """Rows do not fit the unit that writes them: wrong columns, nulls, or an id twice."""


class RoundSealed(LakeError):
    """An append to a round that has been sealed."""


class LakeBusy(LakeError):
    """Another process holds a lock of the lake; the message names it."""


class NotFound(LakeError):
    """The lake holds no such loop, checkpoint, candidate, training or snapshot."""


class EndpointError(RatchetError):
    """An endpoint gave out under way. What it answered is on record; the same command goes on."""


class ServerFailed(EndpointError):
    """A server that the run starts itself does not get healthy, or died more often than it may."""


class BudgetSpent(EndpointError):
    """The next request could cost more than the budget has left; nothing was overspent."""


class RequestFailed(EndpointError):
    """A request failed for good where every answer was needed."""


class CommitOutcomeUnknown(RatchetError):
    """A commit was sent and its fate is not known. Look for the unit's key before trying again."""


class NightStopped(RatchetError):
    """A round's training failed, or a monitor said stop: the night ended there, and all of it is recorded."""


class SnapshotMismatch(RatchetError):
    """A snapshot's rows do not hash to its id: it was changed after it was frozen."""


class TrainingFailed(RatchetError):
    """A fine-tuning job ended without a usable checkpoint (out of memory, diverged, killed)."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; the name of its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
