"""The failures of a batch as the objects of the next batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, ClassVar

from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.pages import BatchReport
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.results import ObjectState
from airflow_provider_ci.batch.sources.selection import ObjectKeys
from airflow_provider_ci.batch.sources.source import Found, LeftOut, Source
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.client.records import checks

_KEYS_AT_A_TIME = 1000
_REPORT = report_key("")
_BAD = (ObjectState.FAILED, ObjectState.CANCELLED, ObjectState.UNFINISHED)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FailuresOf(Source):
    """The objects that ended without an output in another batch; :func:`failures_of` creates this source.

    Every field may be an Airflow template.

    :param batch: id of the batch, the key of its report, or its summary as a task returns it; or a list of
        these, as a mapped task returns it.
    :param states: only objects in these states (``failed``, ``cancelled``, ``unfinished``); empty for all
        three.
    :param codes: only objects with these error codes; empty for all codes.
    :param prefix: what ``{dir}`` of the output template leaves out, like the prefix of an
        ``ObjectSelection``.
    :param report_prefix: folder of the reports, for a batch that is named by its id.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("batch",)

    batch: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
    states: Sequence[str] = ()
    codes: Sequence[str] = ()
    prefix: str = ""
    report_prefix: str = "_ci_batches/"

    def __post_init__(self) -> None:
        for name in ("states", "codes"):
            object.__setattr__(self, name, _texts(getattr(self, name)))
        if not checks.is_template(self.states):
            for state in self.states:
                if not checks.is_template(state) and state not in set(map(str, _BAD)):
                    raise ValueError(
                        f"FailuresOf.states: {state!r} is not one of {', '.join(map(str, _BAD))}"
                    )
        object.__setattr__(self, "batch", _name_of(self.batch))

    @property
    def root(self) -> str:
        """The prefix that ``{dir}`` of an output template leaves out, up to the last ``/`` of the prefix."""
        return self.prefix

    @property
    def identity(self) -> tuple[object, ...]:
        """The batch, and the filters of its failures."""
        return self.batch, self.prefix, frozenset(self.states), frozenset(self.codes)

    def described(self) -> str:
        """Where the source looks, in words that continue the sentence "no object"."""
        return f"among the failures of {self.batch!r}"

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[Found]:
        """The objects as they are now, each once; each object costs one HEAD request.

        :raises NoReportError: the batch has no report.
        """
        keys = self._keys(client)
        while chunk := list(islice(keys, _KEYS_AT_A_TIME)):
            # ObjectKeys holds all of its keys in memory, so a million failures are read in chunks.
            yield from ObjectKeys(keys=chunk).objects(client, threads=threads)

    def _report(self, client: CIClient, batch: str) -> BatchReport:
        if batch.endswith(_REPORT):
            return BatchReport(client, batch.removesuffix(_REPORT))
        return BatchReport.of_batch(client, batch, report_prefix=self.report_prefix)

    def _keys(self, client: CIClient) -> Iterator[str]:
        seen: set[int] = set()
        batches: Any = [self.batch] if isinstance(self.batch, str) else self.batch
        reports = (self._report(client, batch) for batch in batches)
        for result in chain.from_iterable(report.results(is_failed=True) for report in reports):
            is_wanted = (not self.states or str(result.state) in self.states) and (
                not self.codes or result.code in self.codes
            )
            # Two of a million keys share a 64-bit hash about once in 40 million batches.
            mark = hash(result.key)  # a million hashes need much less memory than a million keys
            if is_wanted and mark not in seen:
                seen.add(mark)
                yield result.key


def failures_of(
    batch: Any,
    *,
    states: Iterable[str] = (),
    codes: Iterable[str] = (),
    prefix: str | None = None,
    report_prefix: str | None = None,
) -> FailuresOf:
    """The failures of a batch as the source of another batch.

    An unchanged object that failed permanently gets a new job only with another operation, or with
    ``retry_failed=True``.

    :param batch: a :class:`~airflow_provider_ci.batch.Batch`, a :class:`BatchSummary`, the id of a batch, or
        the key of its report. In a DAG, also the result of its task: ``failures_of(to_pdf.output)``.
    :param prefix: as in :class:`FailuresOf`; by default the prefix of the batch's own source, if ``batch`` is
        a :class:`Batch`.
    """
    if isinstance(batch, BatchSummary):
        batch = batch.report_key
    source = getattr(batch, "source", None)
    if source is not None and not isinstance(batch, str):
        prefix = getattr(source, "root", getattr(source, "prefix", "")) if prefix is None else prefix
        batch = report_key(batch.folder)
    return FailuresOf(
        batch=batch,
        states=states,  # type: ignore[arg-type] # it takes every iterable
        codes=codes,  # type: ignore[arg-type]
        prefix=prefix or "",
        report_prefix=report_prefix or "_ci_batches/",
    )


def _name_of(batch: Any) -> Any:
    """The id of a batch or the key of its report; a tuple of these for several batches."""
    if isinstance(batch, Mapping):  # the XCom of the task that ran the batch
        batch = batch.get("report_key")
    if checks.is_template(batch) or (isinstance(batch, str) and batch):
        return batch
    if isinstance(batch, Sequence) and not isinstance(batch, (str, bytes)):
        return tuple(map(_name_of, batch))
    raise ValueError(
        f"FailuresOf.batch names a batch or its report, so it cannot be {batch!r}: a task that was skipped, "
        "or ended before its batch began, returns nothing"
    )


def _texts(value: Any) -> Any:
    """Convert texts to a tuple; a rendered template provides them as one text with commas."""
    if value is None:
        return ()
    if checks.is_template(value):
        return value
    if isinstance(value, str):
        return tuple(checks.parts(value))
    # A set has a different order in each process, which would change the stored DAG at each parse.
    found = sorted(value) if isinstance(value, (set, frozenset)) else value
    return tuple(str(each) if isinstance(each, ObjectState) else each for each in found)
