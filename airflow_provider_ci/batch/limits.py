"""The limits for failures: how many objects may fail, and when a batch stops early."""

from __future__ import annotations

from dataclasses import dataclass

EARLY_OBJECTS = 1_000
"""A batch is stopped early only after this number of objects has finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimit:
    """How many objects of a batch may fail: a number, or a share of all objects."""

    count: int = 0
    percent: float | None = None

    @classmethod
    def parse(cls, value: int | str) -> FailureLimit:
        """Parse a limit such as ``3``, ``"3"`` or ``"2.5%"``.

        :raises ValueError: the value is none of these, is negative, or is more than 100 percent.
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
        """Whether a batch of ``total`` objects may have this number of failures."""
        # Rounded: 4.6 % of 1,500 objects is 68.99999999999999 in floating point.
        return failed <= (self.count if self.percent is None else round(total * self.percent / 100, 6))

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """The share of failed objects at which a batch stops early; None if it never does."""

    percent: float | None

    @classmethod
    def parse(cls, value: bool | str) -> EarlyStop:
        """Parse a rule: True (half of the objects), False (never) or a percentage such as ``"20%"``.

        :raises ValueError: the value is none of these.
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
        """Whether the batch has to stop early because of this number of failures.

        :param finished: objects whose jobs have ended; skipped objects do not count.
        """
        if self.percent is None or finished < EARLY_OBJECTS:
            return False
        return failed * 100 >= finished * self.percent
