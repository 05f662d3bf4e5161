"""From the selected objects to the jobs that they need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airflow_provider_ci.client import CIClient, DocProcess, ObjectInfo, PicProcess

Operation = DocProcess | PicProcess
"""What is done to every object of a batch."""

Skip = Literal["exists", "never"]
"""``exists``: leave out objects whose output is there and newer than they are; ``never``: process all."""

_PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]*)\}")
_SERVICE_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class OutputTemplateError(ValueError):
    """An output template that cannot name the outputs of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One object and the output that its job writes."""

    key: str
    size: int
    etag: str
    output_key: str
    """Key of the output, still with the service's ``${Number}``, ``${Page}`` and ``${SheetID}`` in it."""
    is_fresh: bool = False
    """The output is there already and newer than the object, so nothing is submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTemplate:
    """Names the output of each object, for example ``pdf/{dir}{stem}.pdf``.

    ``{key}`` is the whole key, ``{name}`` what follows its last ``/``, ``{stem}`` the name without suffix,
    ``{suffix}`` the suffix with its dot, ``{dir}`` the folders between the selection's prefix and the name,
    each with its ``/``. ``${Number}``, ``${Page}`` and ``${SheetID}`` are left to the service.
    """

    text: str
    prefix: str = ""
    """The selection's prefix, which ``{dir}`` leaves out."""

    def __post_init__(self) -> None:
        unknown = set(_PLACEHOLDER.findall(self.text)) - {"key", "dir", "name", "stem", "suffix"}
        if unknown or not self.text:
            problem = f"unknown {', '.join(sorted(unknown))}" if unknown else "empty"
            raise OutputTemplateError(
                f"output template {self.text!r}: {problem}; "
                "use {key}, {dir}, {name}, {stem}, {suffix}"
            )

    def output_key(self, key: str) -> str:
        """The output of the object ``key``."""
        folder, _, name = key.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        if not stem:
            stem, dot, suffix = name, "", ""
        root = self.prefix[: self.prefix.rfind("/") + 1]
        values = {
            "key": key,
            "dir": f"{folder}/".removeprefix(root) if folder else "",
            "name": name,
            "stem": stem,
            "suffix": dot + suffix,
        }
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)

    @property
    def literal_prefix(self) -> str:
        """What every output begins with: the text before the first placeholder."""
        return re.split(r"\$?\{", self.text, maxsplit=1)[0]


def plan_jobs(
    client: CIClient, objects: Iterable[ObjectInfo], template: OutputTemplate, *, skip: Skip = "exists"
) -> Iterator[PlannedJob]:
    """The jobs for these objects, in their order.

    :raises OutputTemplateError: two objects would write the same output, or one of them would be overwritten.
    """
    written = _last_modified(client, template) if skip == "exists" else {}
    owners: dict[str, str] = {}
    for found in objects:
        output_key = template.output_key(found.key)
        if output_key == found.key:
            raise OutputTemplateError(
                f"output template {template.text!r}: {found.key!r} would overwrite itself"
            )
        owner = owners.setdefault(output_key, found.key)
        if owner != found.key:
            raise OutputTemplateError(
                f"output template {template.text!r}: {owner!r} and {found.key!r} would both write "
                f"{output_key!r}; "
                "use {name} or {suffix} in it to tell them apart"
            )
        fresh_since = written.get(first_output(output_key))
        yield PlannedJob(
            key=found.key,
            size=found.size,
            etag=found.etag,
            output_key=output_key,
            is_fresh=bool(found.etag) and fresh_since is not None and fresh_since >= found.last_modified,
        )
    for key in owners.keys() & set(owners.values()):
        raise OutputTemplateError(
            f"output template {template.text!r}: {owners[key]!r} would overwrite {key!r}, which is one of "
            "the objects; name a folder outside of the selection, or narrow the selection by suffixes"
        )


def first_output(output_key: str) -> str:
    """The key of the first object that a job with this output writes."""
    return _SERVICE_PLACEHOLDER.sub("1", output_key)


def _last_modified(client: CIClient, template: OutputTemplate) -> dict[str, datetime]:
    return {found.key: found.last_modified for found in client.list_objects(template.literal_prefix)}
