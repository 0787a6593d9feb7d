"""How long tests wait for what isn't wrong."""

from __future__ import annotations

from fc_powertools import Deadline


def soon() -> Deadline:
    """Enough for anything that answers at all, on a loaded machine too."""
    return Deadline.after(60)
