"""How strict a verifier is: what a user may loosen or tighten, the same on the command line and in a
recipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.job import Strict


class Strictness(Strict):
    """A value that is not the default is part of the verifier's version, and so of every score."""

    percent: Literal["exact", "either"] = Field(
        "exact", description="maths: 10% equals only 10%; either: also 10 and 0.1"
    )
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="maths: share by which two numbers may differ"
    )
    units: Literal["known", "required", "ignored"] = Field(
        "known",
        description="maths: units must agree where both have one; required: also where the reference has one;"
        " ignored: amounts alone",
    )
    tests: Literal["all", "share"] = Field(
        "all", description="unit-tests: value is 1 where all tests hold, else 0; share: the share that holds"
    )
    timeout: Annotated[float, Field(gt=0.0, le=600.0)] = Field(
        6.0, description="unit-tests: seconds a program"
    )
    packages: tuple[str, ...] = Field(
        (), description="unit-tests: installed packages that programs and tests may import"
    )

    def label(self, version: str, names: Iterable[str]) -> str:
        """A verifier's version, followed by those of the named values that are not the default."""
        default = type(self)()
        changed = [name for name in names if getattr(self, name) != getattr(default, name)]
        return " ".join([version, *(f"{name}={_short(getattr(self, name))}" for name in changed)])


def _short(value: Any) -> str:
    return (
        ",".join(value)
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
