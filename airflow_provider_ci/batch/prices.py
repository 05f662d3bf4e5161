"""What jobs and requests cost, and how long a job takes: the basis of an estimate."""

from __future__ import annotations

from dataclasses import dataclass, fields

from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value

_GB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PriceTable(Value):
    """The prices of an estimate. Check your contract: prices differ by region, resource packs and volume.

    The defaults are list prices of mainland China in CNY, without the free tier of pictures. The price of a
    document page has no default; without it, the cost of a batch of documents is unknown.

    :param currency: shown with the cost.
    :param per_1000_pages: of documents that are converted.
    :param pages_per_document: average number of pages; the service reads them, a listing does not show them.
    :param per_gb_of_pictures: of the size of the original pictures (cloud.tencent.com, 460/58117).
    :param per_10000_requests: to COS.
    :param seconds_per_job: average time that a job runs.
    :param concurrency: jobs that run at the same time; None asks the queue for its ``MaxConcurrent``.
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
        for_requests = requests * self.per_10000_requests / 10_000
        if not is_documents:
            return size / _GB * self.per_gb_of_pictures + for_requests
        if self.per_1000_pages is None:
            return None if jobs else for_requests
        return jobs * self.pages_per_document * self.per_1000_pages / 1000 + for_requests


def _number(name: str, value: object) -> object:
    """A number that is not negative; a rendered template is a text."""
    if value is None or checks.is_template(value):
        return value
    try:
        number = float(value)  # type: ignore[arg-type] # anything else raises
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} must be 0 or more, not {value!r}")
    return int(number) if name.endswith("concurrency") else number
