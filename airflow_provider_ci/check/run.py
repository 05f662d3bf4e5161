"""Runs a check, from its first request to the removal of its last object."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal

from airflow_provider_ci.check import record as records
from airflow_provider_ci.check.assumption import Assumption
from airflow_provider_ci.check.assumptions import ASSUMPTIONS
from airflow_provider_ci.check.finding import Finding, Part, Verdict
from airflow_provider_ci.check.report import Report, Row
from airflow_provider_ci.check.trial import CLEANING_REQUESTS, CheckError, Trial, shared_requests
from airflow_provider_ci.client import (
    AuthenticationError,
    CIClient,
    CIConnectionError,
    CIError,
    ClockSkewError,
)

Skip = Literal["documents", "pictures"]


class CheckInterrupted(KeyboardInterrupt):
    """The check was interrupted. ``left_behind`` holds the keys that could not be removed from the bucket."""

    def __init__(self, folder: str, left_behind: tuple[str, ...]) -> None:
        super().__init__(f"the check of {folder} was interrupted")
        self.folder = folder
        self.left_behind = left_behind


FOLDER = "_ci_check/"
OTHER_REQUESTS = 1 + 30
"""The first request, and an allowance for retries and for empty pages of listings."""
MAX_REQUESTS = (
    OTHER_REQUESTS + shared_requests() + sum(each.requests for each in ASSUMPTIONS) + CLEANING_REQUESTS
)
"""Maximum number of requests of a check. Most of them poll the jobs, or poll until an object is listed."""
PATIENCE_SECONDS = 120.0

ENDS_THE_CHECK = (AuthenticationError, CIConnectionError, ClockSkewError)
"""Errors that every further request would get, too."""


def check_bucket(
    client: CIClient,
    *,
    skip: Collection[Skip] = (),
    record: str | Path | None = None,
    folder: str = FOLDER,
    patience_seconds: float = PATIENCE_SECONDS,
    verify: bool | str = True,
    progress: Callable[[str], object] = lambda name: None,
    is_interrupted: Callable[[], bool] = bool,
    _token: str = "",
) -> Report:
    """Compare a bucket with the assumptions of this package, and return the result.

    The check stores a dozen small objects below ``folder`` and submits one document job and one picture job,
    for which the service charges its price. It removes its objects at the end, even after an error or an
    interrupt.

    :param client: sends the requests; the check sets the client's observer and removes it at the end.
    :param skip: holds ``documents`` or ``pictures`` if the bucket does not offer them.
    :param record: a file for all requests and responses, without secrets.
    :param folder: prefix of the objects, with a slash at its end.
    :param patience_seconds: how long to wait for each job to end, and for an object to be listed.
    :param verify: which certificates to trust for signed URLs; the same values as for the client.
    :param progress: is called with the name of each assumption before it is checked.
    :param is_interrupted: polled while the check waits; once it returns True, the check ends as after Ctrl-C.
    :raises ValueError: an argument is invalid.
    :raises OSError: the record cannot be written.
    :raises CheckInterrupted: after Ctrl-C, once the objects have been removed.
    """
    _require_valid(skip, folder, patience_seconds)
    if record is not None:
        Path(record).write_text("")  # an unwritable path must fail before the check starts
    token = _token or uuid.uuid4().hex[:12]
    trial = Trial(
        client,
        f"{folder}{token}/",
        patience_seconds=patience_seconds,
        most_requests=MAX_REQUESTS,
        verify=verify,
        is_interrupted=is_interrupted,
    )
    start = time.monotonic()
    try:
        rows, problem, left = _checked(trial, skip, progress)
        report = Report(
            bucket=client.bucket,
            region=client.region,
            folder=trial.folder,
            rows=rows,
            problem=problem,
            jobs=sum(story.is_submitted for story in trial.stories),
            requests=len(trial.exchanges),
            seconds=round(time.monotonic() - start, 1),
            left_behind=left,
        )
    finally:
        if record is not None:
            records.write(Path(record), trial, skip, patience_seconds)
    return report


def _checked(
    trial: Trial, skip: Collection[Skip], progress: Callable[[str], object]
) -> tuple[tuple[Row, ...], str, tuple[str, ...]]:
    """Return the rows, the problem that ended the check early, and the keys that could not be removed."""
    rows: list[Row] = []
    problem = ""
    with trial.observed():
        try:
            _begin(trial, skip)
            for assumption in selected(skip):
                progress(assumption.name)
                rows.append(look(assumption, trial))
        except CheckError as error:
            problem = str(error)
        except ENDS_THE_CHECK as error:
            problem = f"bucket {trial.client.bucket} cannot be checked: {error}"
        except KeyboardInterrupt:
            trial.is_interrupted = bool  # the removal polls as well, and must not be interrupted
            raise CheckInterrupted(trial.folder, trial.clean_up()) from None
        except BaseException:
            trial.clean_up()
            raise
        return tuple(rows), problem, trial.clean_up()


def selected(skip: Collection[Skip]) -> Iterator[Assumption]:
    """Return the assumptions to check, without the skipped parts."""
    return (each for each in ASSUMPTIONS if each.part.value not in skip)


def look(assumption: Assumption, trial: Trial) -> Row:
    """Check one assumption. An error that concerns only this assumption is reported in the row."""
    try:
        finding = assumption.look(trial)
    except ENDS_THE_CHECK:
        raise
    except CIError as error:
        return _row(assumption, str(error), Verdict.NOT_SEEN, "Fix this first, then check again.")
    if finding.fits:
        return _row(assumption, finding.seen, Verdict.FITS)
    return _row(assumption, finding.seen, Verdict.DIFFERS, _advice(assumption, finding))


def _row(assumption: Assumption, seen: str, verdict: Verdict, advice: str = "") -> Row:
    return Row(name=assumption.name, assumed=assumption.assumed, seen=seen, verdict=verdict, advice=advice)


def _advice(assumption: Assumption, finding: Finding) -> str:
    matters = finding.matters or assumption.matters
    return f"{matters.value} {finding.advice or assumption.advice}"


def _begin(trial: Trial, skip: Collection[Skip]) -> None:
    """Read before anything is written, so that a wrong key or bucket ends the check here.

    :raises CheckError: the bucket cannot be read, or a service is not switched on for it.
    """
    bucket = trial.client.bucket
    try:
        trial.client.list_objects_page(trial.folder, page_size=1)
    except CIError as error:
        raise CheckError(f"bucket {bucket} cannot be read: {error}") from error
    for part, noun in ((Part.DOCUMENTS, "document"), (Part.PICTURES, "picture")):
        if part.value not in skip and trial.is_switched_on(part) is False:
            raise CheckError(
                f"{noun} processing is not switched on for bucket {bucket} in {trial.client.region}: switch "
                f"it on in the CI console. To check without it, use --skip {part.value}."
            )
    _ = trial.short_lived_url  # the URL is made now, so that it expires during the check


def _require_valid(skip: Collection[Skip], folder: str, patience_seconds: float) -> None:
    unknown = set(skip) - {Part.DOCUMENTS.value, Part.PICTURES.value}
    if isinstance(skip, str) or unknown:
        raise ValueError(f"skip must hold 'documents' or 'pictures', not {skip!r}")
    if not folder.endswith("/") or folder.startswith("/"):
        raise ValueError(f"folder must end with a slash and not begin with one, not {folder!r}")
    if not patience_seconds > 0:
        raise ValueError(f"patience_seconds must be above 0, not {patience_seconds!r}")
