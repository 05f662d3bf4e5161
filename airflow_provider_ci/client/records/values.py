"""Value objects: small frozen records that users build and that Airflow renders and sends to other processes.

A value is checked twice. When the user builds it, templates and results of other tasks pass unchecked. Once
they are rendered, :func:`rendered` builds the value again and checks every field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, TypeVar

from airflow_provider_ci.client.records import checks

V = TypeVar("V")

VERSION = 1
"""Version of the serialized form; a higher version is rejected."""
_HOLDS_SEVERAL = re.compile(r"\b(?:Sequence|Mapping|dict|list|tuple)\b")
"""Matches the type of a field that may hold a list or a dict."""
HIDDEN = "***"
"""Replaces a secret wherever a value is shown or stored."""


class Value:
    """Mixin for frozen dataclasses: a short ``repr``, and a form in plain JSON that Airflow can store.

    The dataclass needs ``repr=False``. A field with ``repr=False`` is a secret: it is never shown or stored.
    """

    __slots__ = ()
    __version__: ClassVar[int] = VERSION
    always_shown: ClassVar[tuple[str, ...]] = ()
    """Fields that are shown even if they have their default value."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={_stable_repr(value)}" for name, value in _given(self) if name not in _secrets(self)
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def serialize(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, and those in ``always_shown``, as JSON types.

        A secret is replaced by ``***`` unless it is a template or a reference, because Airflow stores the
        serialized form in its database.
        """
        return {
            name: HIDDEN if name in _secrets(self) and not _may_be_stored(value) else plain(value)
            for name, value in _given(self)
        }

    @classmethod
    def deserialize(cls: type[V], data: Mapping[str, Any], version: int = VERSION) -> V:
        """Restore a value from the result of :meth:`serialize`.

        :raises ValueError: a newer version serialized the value, or a secret was replaced by ``***``.
        """
        return restore(cls, data, version)


def restore(cls: type[V], data: Mapping[str, Any], version: int) -> V:
    """Build a value from its serialized form."""
    if version > VERSION:
        raise ValueError(
            f"{cls.__name__}: version {version} is newer than {VERSION}, the newest that this package reads; "
            "update airflow-provider-ci"
        )
    for name in _secrets(cls) & data.keys():
        if data[name] == HIDDEN:
            raise ValueError(
                f"{cls.__name__}.{name} is a secret, which XCom does not carry: set it in the task that "
                "uses it, for example by a template such as '{{ var.value.name }}'"
            )
    return cls(**data)


def is_value(content: object) -> bool:
    """Whether the object is a dataclass instance, whose fields may be templates."""
    return is_dataclass(content) and not isinstance(content, type)


def values_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each field that the constructor accepts."""
    return ((field.name, getattr(value, field.name)) for field in fields(value) if field.init)


def rendered(value: V, known: Mapping[str, Any]) -> V:
    """Build the value again with its templates rendered, and check all fields.

    :param known: the fields after their templates were rendered.
    """
    types = {field.name: str(field.type) for field in fields(value)}  # type: ignore[arg-type]
    read = {name: _as_written(types.get(name, ""), each) for name, each in known.items()}
    with checks.no_templates():
        return type(value)(**read)


def _as_written(field_type: str, content: Any) -> Any:
    """Parse a list or a dict that a template rendered to text, if the field's type allows one."""
    found = checks.as_written(content) if _HOLDS_SEVERAL.search(field_type) else content
    may_be_text = field_type.startswith("str ")
    if found is not content and may_be_text and not all(isinstance(each, (str, Mapping)) for each in found):
        return content  # a folder may be called "[2026]"
    return found


def plain(content: Any) -> Any:
    """Return the content as JSON types, equal in every process: sets sorted, no memory addresses."""
    if content is None or isinstance(content, (bool, int, float, str)):
        return content.value if isinstance(content, Enum) else content
    if isinstance(content, Mapping):
        return {str(name): plain(value) for name, value in content.items()}
    if isinstance(content, Set):
        return sorted(map(plain, content), key=str)
    if isinstance(content, (list, tuple)):
        return [plain(item) for item in content]
    if isinstance(content, datetime):
        return content.isoformat()
    if isinstance(content, Value):
        return content.serialize()
    return stable_text(content)


def stable_text(content: Any) -> str:
    """Return the text of an object, or its class name if the text would show a memory address."""
    if callable(content) and hasattr(content, "__qualname__"):
        return f"<{content.__module__}.{content.__qualname__}>"
    # The default text of an object holds its address in memory, which differs in each process.
    owners = {
        vars(cls).get(name) and cls for cls in type(content).__mro__ for name in ("__str__", "__repr__")
    }
    if owners <= {None, object}:
        return f"<{type(content).__module__}.{type(content).__qualname__}>"
    return str(content)


def _stable_repr(content: Any) -> str:
    """Return a ``repr`` of an object that is the same in every process."""
    if isinstance(content, Set):
        return f"{{{', '.join(sorted(map(_stable_repr, content)))}}}"
    if isinstance(content, Mapping):
        return f"{{{', '.join(f'{name!r}: {_stable_repr(value)}' for name, value in content.items())}}}"
    if callable(content) or not _has_own_text(type(content)):
        return stable_text(content)
    return repr(content)


def _named(content: Any) -> str:
    return f"<{content.__module__}.{content.__qualname__}>"


def _has_own_text(kind: type) -> bool:
    methods = ("__str__", "__repr__")
    return any(name in vars(cls) for cls in kind.__mro__ if cls is not object for name in methods)


def _given(value: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        content = getattr(value, field.name)
        if content != _default(field) or field.name in value.always_shown:
            yield field.name, content


def _may_be_stored(secret: Any) -> bool:
    """Whether this is a template or a reference, and not the secret itself."""
    return isinstance(secret, Value) or checks.is_template(secret)


def _secrets(value: Any) -> set[str]:
    return {field.name for field in fields(value) if not field.repr}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
