"""Which operations a batch can do: those whose jobs it can find again, and whose outputs it can name."""

from __future__ import annotations

from typing import Any

from airflow_provider_ci.jobs.kinds import type_of_operation, type_of_tag


class BatchOperationError(ValueError):
    """A batch cannot do this operation exactly once. Nothing was submitted."""


def check_operation(operation: Any) -> None:
    """Return if a batch can do the operation.

    A batch makes each output once, so each job has to write one output object. A lost response is resolved
    by the listing of jobs, so the jobs have to be listed. Plans store the tag of an operation and not its
    path, so the path has to be the usual one of the tag.

    :raises BatchOperationError: it cannot; a task for each object can (``CIJobOperator``).
    :raises TypeError: this is something else than an operation.
    """
    job_type = type_of_operation(operation)
    name = f"a batch cannot do {job_type.tag}"
    instead = "; map CIJobOperator over the keys, or use submit_once of airflow_provider_ci.jobs"
    if job_type.output == "none":
        raise BatchOperationError(f"{name}: its result is in the job and not in an object{instead}")
    if job_type.output == "prefix":
        raise BatchOperationError(f"{name}: it writes objects whose names are not known before{instead}")
    if not job_type.is_listed:
        raise BatchOperationError(f"{name}: the service does not list these jobs{instead}")
    if type_of_tag(job_type.tag) is not job_type:
        raise BatchOperationError(
            f"{name} as {operation!r}: use the class of this tag, or leave out path and output"
        )
