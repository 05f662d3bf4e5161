"""The operator that lists objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from airflow.sdk import Context

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.operators.base import CIOperator


class TooManyObjectsError(ValueError):
    """A listing is too long to be handed to another task."""


class CIListObjectsOperator(CIOperator):
    """Lists the keys of a selection, for tasks that take a few objects by name.

    The keys go through XCom, so their number is limited. For many objects give the same selection to
    :class:`CIBatchOperator`, which lists them itself.

    :param source: which objects. (templated inside)
    :param max_objects: more than so many are an error.
    """

    template_fields: Sequence[str] = ("source", "bucket", "region")

    def __init__(self, *, source: ObjectSelection, max_objects: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.max_objects = max_objects
        self.depend_on_values_in(source)

    def execute(self, context: Context) -> list[str]:
        """The keys, in key order.

        :raises TooManyObjectsError: there are more than ``max_objects``.
        """
        found = self.source.objects(self.hook.client)
        keys = [selected.key for selected in islice(found, self.max_objects + 1)]
        if len(keys) > self.max_objects:
            raise TooManyObjectsError(
                f"more than {self.max_objects} objects under {self.source.prefix!r}: narrow the selection, "
                "raise max_objects, or give the selection to CIBatchOperator, which needs no XCom for it"
            )
        self.log.info("%d objects under %r", len(keys), self.source.prefix)
        return keys
