"""What we assume about requests and responses: signatures, clocks, headers."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from airflow_provider_ci.check.assumption import Assumption
from airflow_provider_ci.check.finding import Finding, Matters, NotSeenError
from airflow_provider_ci.check.trial import Trial
from airflow_provider_ci.client import Exchange

CLOCK_SECONDS = 30
"""A smaller clock difference, in seconds, does not confuse the reader of a log."""
SAME_CLOCK_SECONDS = 2
"""Maximum difference, in seconds, between clocks of the service that the lease of a batch tolerates."""


def machine_clock(trial: Trial) -> Finding:
    """Compare the machine's clock with the service's."""
    offset = trial.client.clock_offset_seconds
    if abs(offset) < 1:
        return Finding("less than 1 s apart", True)
    side = "ahead of" if offset > 0 else "behind"
    return Finding(f"the service is {abs(offset):.0f} s {side} this machine", abs(offset) <= CLOCK_SECONDS)


def strict_signature(trial: Trial) -> Finding:
    """Store an object with a signed URL whose signature covers only the host."""
    url = trial.client.object_url(trial.key("unsigned.txt"), method="PUT", valid_seconds=60)
    status = trial.upload_to(url)
    if 200 <= status < 300:
        return Finding("accepted", True)
    return Finding(f"refused with status {status}", False)


def expired_signature(trial: Trial) -> Finding:
    """Send a valid request, then the same request with an expired signature."""
    status = trial.upload_to(trial.signed_upload("late.txt", valid_seconds=60))
    if not 200 <= status < 300:
        raise NotSeenError(f"a signed URL is refused with status {status} before it expires, too")
    url, expires_at = trial.short_lived_url
    clock = trial.client.clock
    # The service compares whole seconds.
    clock.sleep(max(0.0, expires_at + 1.5 - clock.now()))
    status = trial.upload_to(url)
    if 200 <= status < 300:
        return Finding("accepted more than a second late", False)
    return Finding(f"refused with status {status}", True)


def dates(trial: Trial) -> Finding:
    """Count the responses without a Date."""
    missing = [each for each in trial.exchanges if _date(each) is None]
    said = f"in {len(trial.exchanges) - len(missing)} of {len(trial.exchanges)} responses"
    return Finding(said, not missing)


def one_clock(trial: Trial) -> Finding:
    """Compare the clocks of CI and COS, as precisely as whole seconds and network delays allow."""
    jobs, objects = _bounds(trial.exchanges, ".ci."), _bounds(trial.exchanges, ".cos.")
    if jobs is None or objects is None:
        raise NotSeenError("no response of CI or of COS had a Date")
    gap = max(jobs[0] - objects[1], objects[0] - jobs[1], 0.0)
    if gap <= SAME_CLOCK_SECONDS:
        return Finding("no difference is visible" if gap == 0 else f"{gap:.1f} s apart", True)
    return Finding(f"{gap:.1f} s apart", False)


def _bounds(exchanges: list[Exchange], host: str) -> tuple[float, float] | None:
    """Return the bounds of the difference between a service's clock and steady time, in seconds.

    Each response narrows them: the service made a response with Date D between D and D + 1 by its own clock.
    """
    known = [(_date(each), each) for each in exchanges if host in each.request_headers.get("Host", "")]
    dated = [(date, each) for date, each in known if date is not None]
    if not dated:
        return None
    return max(date - each.received for date, each in dated), min(
        date + 1 - each.sent for date, each in dated
    )


def _date(exchange: Exchange) -> float | None:
    try:
        return parsedate_to_datetime(exchange.response_headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def request_ids(trial: Trial) -> Finding:
    """Count the responses without a request id."""
    names = ("x-cos-request-id", "x-ci-request-id")
    missing = sum(not any(each.response_headers.get(name) for name in names) for each in trial.exchanges)
    total = len(trial.exchanges)
    return Finding(f"in {total - missing} of {total} responses", not missing)


def _entry(
    name: str,
    assumed: str,
    look: Callable[[Trial], Finding],
    matters: Matters,
    advice: str,
    requests: int = 0,
) -> Assumption:
    return Assumption(
        name=name, assumed=assumed, look=look, matters=matters, advice=advice, requests=requests
    )


REQUESTS = (
    _entry(
        "strict signature",
        "a signed URL may leave Content-Type and other headers unsigned",
        strict_signature,
        Matters.COMFORT,
        "The bucket is in strict signature mode. This package signs every header. For uploads by signed URL, "
        "give object_url the headers that will be sent.",
        1,
    ),
    _entry(
        "expired signature",
        "a request is refused after its signature has expired",
        expired_signature,
        Matters.EXACTLY_ONCE,
        "Takeovers between batches rely on this: a request of a dead run can arrive late and make a job "
        "twice. Do not run two batches for the same outputs, and send us a record.",
        2,
    ),
    _entry(
        "machine clock",
        f"this machine's clock is within {CLOCK_SECONDS} s of the service's",
        machine_clock,
        Matters.COMFORT,
        "The package signs by the service's time and goes on. Set this machine's clock (NTP): schedules and "
        "logs use it.",
    ),
    _entry(
        "Date",
        "every response has a Date",
        dates,
        Matters.EXACTLY_ONCE,
        "A lease cannot be measured without it. A proxy on the way may remove the header.",
    ),
    _entry(
        "one clock",
        f"the clocks of CI and COS differ by at most {SAME_CLOCK_SECONDS} s",
        one_clock,
        Matters.EXACTLY_ONCE,
        "The end of a lease is measured by COS, and the end of a submission by CI. Give batches a longer "
        "lease_seconds, and send us a record.",
    ),
    _entry(
        "request id",
        "every response has a request id",
        request_ids,
        Matters.COMFORT,
        "The support of the service needs the id. A proxy on the way may remove the header.",
    ),
)
