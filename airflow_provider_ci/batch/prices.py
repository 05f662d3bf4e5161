"""What jobs and requests cost, and how long a job takes: the basis of an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value

_GB = 1024**3
DOCUMENTS, PICTURES = "DocProcess", "PicProcess"
"""Tags of the jobs that have a price."""
PER_PAGE = "the price of a document page"
ALWAYS_LEFT_OUT = ("storage", "traffic", "repeated jobs")
"""Costs that no estimate includes."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PriceTable(Value):
    """The prices of an estimate. Check your contract: prices differ by region, resource packs and volume.

    The defaults are list prices of mainland China in CNY, without the free tier of pictures. The price of a
    document page has no default; without it, the cost of a batch of documents is unknown. Storage, traffic
    and jobs that are submitted again after a failure are left out.

    :param currency: currency of the prices, shown with the cost.
    :param per_1000_pages: price of 1,000 converted document pages.
    :param pages_per_document: average number of pages in a document; a listing of objects does not show it.
    :param per_gb_of_pictures: price of 1 GB of original pictures (cloud.tencent.com, 460/58117).
    :param per_10000_requests: price of 10,000 requests to COS.
    :param seconds_per_job: average time that a job runs, in seconds.
    :param concurrency: number of jobs that run at the same time; None reads ``MaxConcurrent`` of the queue.
    """

    currency: str = "CNY"
    per_1000_pages: float | None = None
    pages_per_document: float = 10.0
    per_gb_of_pictures: float = 0.025
    per_10000_requests: float = 0.01
    seconds_per_job: float = 2.0
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "currency":
                value = _number(f"PriceTable.{field.name}", getattr(self, field.name))
                object.__setattr__(self, field.name, value)

    def cost(self, *, jobs: int, size: int, requests: int, is_documents: bool) -> float | None:
        """The cost of some jobs and requests; None if a price is missing.

        :param size: bytes of the objects.
        """
        tag = DOCUMENTS if is_documents else PICTURES
        work = Work(tag=tag, jobs=jobs, size=size, pages=jobs * self.pages_per_document)
        return self.cost_of([work], requests)[0]

    def cost_of(self, works: Sequence[Work], requests: int) -> tuple[float | None, tuple[str, ...]]:
        """The cost of some work and requests (None if a price is missing), and what the cost leaves out."""
        costs = [self._cost_of(work) for work in works if work.jobs]
        left_out = [
            *(f"{PER_PAGE} (per_1000_pages)" for work in works if self._lacks_page_price(work)),
            *(f"{work.tag} jobs, for which the table has no price" for work in works if _is_unknown(work)),
            *("pictures that are made of the outputs of a step" for work in works if work.unknown_size),
            *ALWAYS_LEFT_OUT,
        ]
        for_requests = requests * self.per_10000_requests / 10_000
        known = [cost for cost in costs if cost is not None]
        total = None if len(known) < len(costs) else sum(known) + for_requests
        return total, tuple(dict.fromkeys(left_out))

    def pages_of(self, values: Mapping[str, Any]) -> float:
        """How many pages of a document a job converts, from the fields of its ``DocProcess``.

        A PDF always contains the whole document; pages can be chosen only for pictures.
        """
        average = self.pages_per_document
        if values.get("target") == "pdf":
            return average
        if ranges := values.get("page_ranges"):
            return float(sum(map(_length, str(ranges).split(","))))
        first, last = int(values.get("start_page") or 1), int(values.get("end_page") or -1)
        return max(1.0, (average if last < 0 else min(last, average)) - first + 1)

    def _cost_of(self, work: Work) -> float | None:
        if work.tag == DOCUMENTS:
            return None if self.per_1000_pages is None else work.pages * self.per_1000_pages / 1000
        return work.size / _GB * self.per_gb_of_pictures if work.tag == PICTURES else None

    def _lacks_page_price(self, work: Work) -> bool:
        return work.tag == DOCUMENTS and bool(work.jobs) and self.per_1000_pages is None


@dataclass(slots=True, kw_only=True)
class Work:
    """The facts about a step's jobs that determine their price."""

    tag: str
    jobs: int = 0
    size: int = 0
    """Bytes of the objects that the jobs read."""
    pages: float = 0.0
    """Estimated number of document pages that the jobs convert."""
    unknown_size: bool = False
    """Whether the jobs read pictures whose size is not known yet."""


def _is_unknown(work: Work) -> bool:
    return bool(work.jobs) and work.tag not in (DOCUMENTS, PICTURES)


def _length(pages: str) -> int:
    """Pages of a range such as ``2-4``, or of a single page."""
    first, _, last = pages.partition("-")
    return max(1, int(last or first) - int(first) + 1)


def _number(name: str, value: object) -> object:
    """Check that a value is a number of 0 or more; a rendered template arrives as text."""
    if value is None or checks.is_template(value):
        return value
    try:
        number = float(value)  # type: ignore[arg-type] # anything else raises
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} must be 0 or more, not {value!r}")
    return int(number) if name.endswith("concurrency") else number
