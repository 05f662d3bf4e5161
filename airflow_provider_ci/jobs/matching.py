"""Decides whether a job that the service describes is the requested job.

The service changes some parameters when it echoes a request. The known changes are ignored here; any other
difference means a different job. Sources: 1045/47932, 1045/47933, and the recorded response in 1045/51266.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from airflow_provider_ci.client import DocProcess, Job, PicProcess, PicTemplate
from airflow_provider_ci.client.jobs.any_job import JOB_OPERATIONS, JobOperation

_NEVER_COMPARED = frozenset({"CompressKey", "DocPassword", "UnCompressKey"})
# Real responses echo an omitted EndPage as -1, 0 or 5001, and an omitted StartPage as 0.
_ALIKE = {"EndPage": frozenset({-1, 0, 5000, 5001}), "StartPage": frozenset({0, 1})}
"""Numbers with the same meaning: "up to the last page", and "from the first page"."""
_DEFAULTS: Mapping[str, frozenset[int]] = {
    **_ALIKE,
    "Comments": frozenset({0, 1}),
    "ImageDpi": frozenset({0, 96}),
    "ImageParams": frozenset(),
    "PageRanges": frozenset(),
    "PaperDirection": frozenset({0}),
    "PaperSize": frozenset({0}),
    "PicPagination": frozenset({0}),
    "Quality": frozenset({0, 100}),
    "SheetId": frozenset({0, 1}),
    "Zoom": frozenset({0, 100}),
}
"""For each parameter of ``DocProcess``: the numbers that the service may echo if it was not sent."""
_WITHOUT_CASE = frozenset({"SrcType", "TgtType"})
_BOOLEANS = frozenset({"true", "false"})


def matches_operation(
    job: Job,
    operation: Union[DocProcess, JobOperation, PicProcess, PicTemplate],  # noqa: UP007
) -> bool:
    """Whether the echoed parameters of the job are consistent with the operation.

    A missing or empty echo is consistent with any value, and a password is never compared. A document job
    does not match if it sets a parameter, such as a page range, that the operation leaves at its default.
    """
    echo = _child(job.raw, "Operation")
    template_id = echo.get("TemplateId")
    if isinstance(operation, PicTemplate):
        return template_id in (None, "", operation.template_id)
    nodes = operation.to_nodes() if isinstance(operation, JOB_OPERATIONS) else {job.tag: operation.to_node()}
    # A template overrides PicProcess (1045/73035), so this job does something else than the operation.
    if template_id and "TemplateId" not in nodes:
        return False
    return _is_consistent("Operation", nodes, echo) and _leaves_the_rest_alone(nodes, echo)


def user_data_matches(job: Job, user_data: str) -> bool | None:
    """Whether the job was submitted with this UserData; None if the echo is inconclusive.

    The service may omit or truncate the echo, so a prefix of ``user_data`` is inconclusive.
    """
    if job.user_data == user_data and user_data:
        return True
    return None if user_data.startswith(job.user_data) else False


def matches_keys(job: Job, input_key: str, output_key: str) -> bool:
    """Whether the job reads and writes these objects; a leading slash in a key is ignored."""
    return _bare(job.input_key) == _bare(input_key) and _bare(job.output_key) == _bare(output_key)


def _leaves_the_rest_alone(nodes: Mapping[str, object], echo: Mapping[str, object]) -> bool:
    """Whether a document job has the default for each parameter that the operation does not set."""
    wanted, echoed = _child(nodes, DocProcess.tag), _child(echo, DocProcess.tag)
    return all(
        _is_default(echoed.get(name), default)
        for name, default in _DEFAULTS.items()
        if wanted.get(name) is None
    )


def _is_default(echoed: object, default: frozenset[int]) -> bool:
    return not isinstance(echoed, str) or not echoed.strip() or _number(echoed) in default


def _is_consistent(name: str, wanted: object, echoed: object) -> bool:
    """Whether an echo agrees with the request; missing parts of the echo agree."""
    if wanted is None or echoed in (None, "") or name in _NEVER_COMPARED:
        return True
    if isinstance(wanted, Mapping):
        echo = echoed if isinstance(echoed, Mapping) else {}
        return all(_is_consistent(child, value, echo.get(child)) for child, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        echoes = echoed if isinstance(echoed, list) else [echoed]
        pairs = zip(wanted, echoes, strict=False)
        return len(wanted) == len(echoes) and all(_is_consistent(name, *pair) for pair in pairs)
    return _is_same(name, wanted, echoed)


def _is_same(name: str, wanted: object, echoed: object) -> bool:
    if not isinstance(echoed, str) or not echoed.strip():
        return True
    ours, theirs = str(wanted).strip(), echoed.strip()
    if name in _WITHOUT_CASE or ours.lower() in _BOOLEANS:
        ours, theirs = ours.lower(), theirs.lower()
    if ours == theirs:
        return True
    numbers = _number(ours), _number(theirs)
    if None in numbers:
        return False
    alike = _ALIKE.get(name, frozenset())
    return numbers[0] == numbers[1] or (numbers[0] in alike and numbers[1] in alike)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _child(node: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = node.get(name)
    return value if isinstance(value, Mapping) else {}


def _bare(key: str) -> str:
    # Keys in real responses may have a leading slash (1045/51266).
    return key.removeprefix("/")
