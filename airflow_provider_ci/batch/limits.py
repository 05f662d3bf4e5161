"""How many objects of a batch may fail, and when a batch is pointless."""

from __future__ import annotations

from dataclasses import dataclass

EARLY_OBJECTS = 1_000
"""A batch is stopped early only after this number of objects has finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimit:
    """A number of objects, or a share of all."""

    count: int = 0
    percent: float | None = None

    @classmethod
    def parse(cls, value: int | str) -> FailureLimit:
        """A limit from ``3``, ``"3"`` or ``"2.5%"``.

        :raises ValueError: anything else, a negative number, or more than 100 percent.
        """
        text = str(value).strip()
        try:
            if text.endswith("%"):
                percent = float(text[:-1])
                if not 0 <= percent <= 100:
                    raise ValueError
                return cls(percent=percent)
            count = int(text)
            if count < 0:
                raise ValueError
            return cls(count=count)
        except ValueError:
            raise ValueError(
                f"max_failures must be a number of objects or a percentage such as '5%', not {value!r}"
            ) from None

    def allows(self, failed: int, total: int) -> bool:
        """Whether a batch of ``total`` objects with this number of failures is good enough."""
        # Rounded: 4.6 % of 1,500 objects is 68.99999999999999 in floating point.
        return failed <= (self.count if self.percent is None else round(total * self.percent / 100, 6))

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """The share of failed objects at which a batch is pointless; None never stops it early."""

    percent: float | None

    @classmethod
    def parse(cls, value: bool | str) -> EarlyStop:
        """A rule from True (half of the objects), False (never) or a percentage such as ``"20%"``.

        :raises ValueError: anything else.
        """
        if isinstance(value, bool):
            return cls(percent=50.0 if value else None)
        text = str(value).strip()
        try:
            percent = float(text.removesuffix("%"))
            if not text.endswith("%") or not 0 < percent <= 100:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"stop_early must be True, False or a percentage such as '50%', not {value!r}"
            ) from None
        return cls(percent=percent)

    def applies(self, failed: int, finished: int) -> bool:
        """Whether ``failed`` failures make it pointless to go on with the batch.

        :param finished: objects whose jobs have ended; skipped objects do not count.
        """
        if self.percent is None or finished < EARLY_OBJECTS:
            return False
        return failed * 100 >= finished * self.percent
