"""A strategy that answers marks until a file tells it to get stuck; what the watchdog is for."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from path_strategy import Marked

from aegis.messages import Intent

WORD = Path(os.environ.get("STUCK_WORD", "/nonexistent"))


class Stuck(Marked):
    """Never comes back from the timer after the word was given, and says so in a file beside it."""

    def on_timer(self, ctx: Any) -> Sequence[Intent]:
        """See the class."""
        if WORD.exists():
            WORD.with_suffix(".stuck").touch()
            while True:
                time.sleep(0.01)
        return ()
