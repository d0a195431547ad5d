"""A round's verdict beside the state that table `rounds` stores: the one place that translates.

People read promoted, held or stopped, and open while a round has none. The log says finished for promoted and
started for open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

RoundVerdict = Literal["promoted", "held", "stopped"]

STATE_OF: Mapping[RoundVerdict, str] = {"promoted": "finished", "held": "held", "stopped": "stopped"}
VERDICT_OF: Mapping[str, str] = {"started": "open"} | {state: verdict for verdict, state in STATE_OF.items()}
