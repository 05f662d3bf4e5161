"""Which operations a batch can do: those whose jobs it can find again and whose outputs it can name."""

from __future__ import annotations

from typing import Any

from airflow_provider_ci.jobs.kinds import type_of_operation, type_of_tag


class BatchOperationError(ValueError):
    """A batch cannot do this operation exactly once. Nothing was submitted."""


def check_operation(operation: Any) -> None:
    """Check that a batch can do the operation.

    A batch makes each output once, so each job has to write one output object. After a lost response, a batch
    looks for the job in the service's listing, so the service has to list such jobs. A plan stores the tag of
    an operation but not its path, so the operation has to use the usual path of its tag.

    :raises BatchOperationError: a batch cannot do it; use ``CIJobOperator``, one task per object.
    :raises TypeError: the argument is not an operation.
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
