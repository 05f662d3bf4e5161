"""The operator that lists objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from airflow.sdk import Context, XComArg

from airflow_provider_ci.batch import Source
from airflow_provider_ci.batch.sources.source import Found, LeftOut, Row, UnusableKey
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.tasks.arguments import Reader, anything, whole_number


class TooManyObjectsError(ValueError):
    """The listing is too long to be passed to another task."""


class CIListObjectsOperator(CIOperator):
    """Lists the keys of a selection, for tasks that take a few objects by name.

    The keys go through XCom, so their number is limited. For many objects give the same selection to
    :class:`CIBatchOperator`, which lists them itself. Every argument is templated.

    :param source: the objects: an ``ObjectSelection``, an ``Inventory`` or a ``Manifest``.
    :param max_objects: maximum number of objects; a longer listing is an error.
    """

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CIOperator.argument_types,
        "source": anything,
        "max_objects": whole_number(1),
    }
    template_fields: Sequence[str] = tuple(argument_types)
    template_fields_renderers: ClassVar[dict[str, str]] = {"source": "json"}

    def __init__(self, *, source: Source | XComArg, max_objects: int | str = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.max_objects: Any = max_objects
        self.keep_arguments("source")

    def execute(self, context: Context) -> list[str]:
        """Return the keys, in key order.

        :raises TooManyObjectsError: there are more than ``max_objects``.
        """
        self.begin(context)
        if not isinstance(self.source, Source):
            raise TypeError(f"source must be an ObjectSelection or another source, not {self.source!r}")
        left_out = LeftOut()
        found = self.source.objects(self.hook.client, left_out=left_out)
        keys = list(islice(self._keys(found), self.max_objects + 1))
        if len(keys) > self.max_objects:
            raise TooManyObjectsError(
                f"more than {self.max_objects} objects {self.source.described()}: narrow the selection, "
                "raise max_objects, or give the selection to CIBatchOperator, which needs no XCom for it"
            )
        if keys:
            self.log.info("%d objects %s", len(keys), self.source.described())
        else:
            self.log.warning("no object %s", self.source.described())
        if left_out.archived:
            self.log.warning("%d archived objects are left out", left_out.archived)
        return keys

    def _keys(self, found: Iterable[Found]) -> Iterator[str]:
        for each in found:
            if isinstance(each, UnusableKey):
                self.log.warning("left out: %s", each.message)
            else:
                yield each.info.key if isinstance(each, Row) else each.key
