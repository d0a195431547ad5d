"""Values whose label carries a hash of them all, so that a changed word is another label."""

from __future__ import annotations

import hashlib
import json

from schemas.job import Positive, Strict


class Labelled(Strict):
    """What such values say of themselves; whoever inherits says which names there are."""

    name: str
    version: Positive

    @property
    def label(self) -> str:
        """Name, version and 8 hex digits over all values: `story-1-0f3c9a2b`."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{self.version}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
