"""The environment of a run from the command line: Prefect quiet and without telemetry, torch at peace.

Each setting holds only where the user has not set it. Call `prepare` before anything imports Prefect or
torch: both read their environment once.
"""

from __future__ import annotations

import os

SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the API, and so the UI, still gets all
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads make a shared machine ten times slower
}


LOOPBACK = ("localhost", "127.0.0.1", "::1")


def prepare() -> None:
    """Put the settings into the environment, and this machine among what no proxy is asked for."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        spared = [one for one in os.environ.get(name, "").split(",") if one.strip()]
        spared += [one for one in LOOPBACK if one not in spared and "*" not in spared]
        os.environ[name] = ",".join(spared)
