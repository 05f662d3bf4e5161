"""Pictures processed on download, ``GET /<key>?<rule>``, and descriptions of pictures (1045/33695)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airflow_provider_ci.local.convert.pictures.metadata import QUERIES
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.sync.sync import PICTURE_REFUSALS, Bench, Refusal, file_answer

OPERATIONS = ("imageMogr2", "imageView2", "watermark", "style", *QUERIES)
"""A query parameter that begins with one of these words is a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureWork:
    """A rule to apply to a picture, then a query about the result; either may be empty."""

    rule: str
    query: str
    refusals: ClassVar[Mapping[str, Refusal]] = PICTURE_REFUSALS

    def make(self, bench: Bench) -> Answer:
        """Return the picture, or the query's description of it as JSON."""
        source = bench.source()
        if not self.rule:
            return self._told(bench.converters.query(source, self.query))
        target = bench.folder / f"output{source.suffix}"
        done = bench.picture(source, self.rule, target)
        if self.query:
            return self._told(bench.converters.query(target, self.query))
        return file_answer(target, done.output.format)

    def _told(self, told: Mapping[str, object]) -> Answer:
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        return Answer(body=body, headers={"Content-Type": "application/json"})


def is_rule(name: str) -> bool:
    """Return whether a query parameter of this name is a rule: its first word is then an operation."""
    return name.replace("|", "/").partition("/")[0] in OPERATIONS


def read(request: Request) -> PictureWork | None:
    """Read the rules of a GET; None if its query has none.

    The rule is the name of a parameter. If the rule holds an ``=`` that is not percent-encoded, the query
    splits the rule into a name and a value, which are joined again here.

    :raises ServiceError: the query has more than one rule.
    """
    rules = [name + (f"={value}" if value else "") for name, value in request.query if is_rule(name)]
    if not rules:
        return None
    if len(rules) > 1:
        raise ServiceError("InvalidArgument", "the query has several rules; join their steps by |")
    rule, bar, last = rules[0].rpartition("|")
    if last.strip() in QUERIES:
        return PictureWork(rule=rule, query=last.strip())
    return PictureWork(rule=rule + bar + last, query="")
