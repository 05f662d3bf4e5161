"""How many objects of a source are not taken, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class LeftOut:
    """Numbers of objects that lie under the prefix and are not taken."""

    own_outputs: int = 0
    """In the folder where the batch writes its outputs."""
    ledger: int = 0
    """Records of batches."""

    def reasons(self) -> dict[str, int]:
        """The numbers by reason, without zeros."""
        return {name.replace("_", " "): count for name, count in asdict(self).items() if count}
