"""How operators and sensors treat their arguments: templates, results of other tasks, mapping and types.

A class declares its arguments once, in ``argument_types``. Its template fields, the types that are restored
when the task runs, and the upstream tasks (plain or mapped) are derived from this declaration.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context, XComArg
from airflow.sdk.definitions.mappedoperator import OperatorPartial
from jinja2 import Undefined, nodes

from airflow_provider_ci import compat
from airflow_provider_ci.batch import (
    FailuresOf,
    Inventory,
    Manifest,
    ObjectKeys,
    ObjectSelection,
    PriceTable,
    Step,
)
from airflow_provider_ci.client import (
    Callback,
    DocProcess,
    MqConfig,
    NotifyConfig,
    PicProcess,
    PicTemplate,
    Secret,
)
from airflow_provider_ci.client.jobs.any_job import JOB_OPERATIONS
from airflow_provider_ci.client.records.values import is_value, rendered, stable_text, values_in
from airflow_provider_ci.tasks.arguments import Reader

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    _Task = BaseOperator
else:
    # Airflow's metaclass gives every subclass of its operators a constructor. A class with this mixin and a
    # sensor as bases would then skip the constructor of the sensor.
    _Task = object

_MARK = "ci_mark_none"
_NONE = "\0None\0"
"""Replaces None while a template is rendered, so that None is never mistaken for text."""
_TIME_BOUNDS = {"modified_after", "modified_before"}
_RENAMED = {"conn_id": "tencent_ci_conn_id"}
"""Old and new names of arguments that were renamed in version 0.3."""

compat.allow_in_xcom(
    *(Callback, DocProcess, FailuresOf, Inventory, Manifest, MqConfig, NotifyConfig),
    *(ObjectKeys, ObjectSelection, PicProcess, PicTemplate, PriceTable, Secret, Step),
    *JOB_OPERATIONS,
)


class Templated(_Task):
    """Mixin for an operator or a sensor; it must come before the base class of Airflow."""

    argument_types: ClassVar[Mapping[str, Reader]] = {}
    """The reader that restores the type of each attribute. Each attribute has the name of its argument,
    except ``output_template``."""
    definition: str = ""
    """Sixteen hex digits that change with the code of the task, not with the rendered values."""
    own_defaults: ClassVar[Mapping[str, Any]] = {}
    """Arguments of Airflow that have another default in this class, also for mapped tasks."""

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Like Airflow's ``partial``, but the mapped task also depends on results inside value objects."""
        made = super().partial(**{**cls.own_defaults, **with_new_names(kwargs)})
        made._expand_called = True  # otherwise Airflow warns that it was never mapped
        return _Partial(operator_class=made.operator_class, kwargs=made.kwargs, params=made.params)

    def keep_arguments(self, *defining: str) -> None:
        """Record the upstream tasks, and the definition of the work. Call this at the end of the constructor.

        :param defining: attributes that decide which objects are processed, and how.
        """
        for name in self.argument_types:
            _depend(self, getattr(self, name))
        code = [type(self).__name__, {name: _code(getattr(self, name)) for name in defining}]
        self.definition = hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:16]

    def read_arguments(self) -> None:
        """Restore the types of the arguments, and check them. Call this first when the task runs.

        :raises ValueError: an argument is invalid; the message has its name and its value.
        """
        for attribute, read in self.argument_types.items():
            name = f"{type(self).__name__}.{attribute.removesuffix('_template')}"
            setattr(self, attribute, read(name, getattr(self, attribute)))

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render as Airflow does, but also inside value objects; None stays None."""
        if seen_oids is not None and id(content) in seen_oids:
            return content  # the result of another task, which is not a template
        if is_value(content):
            known = {
                name: self.render_template(value, context, jinja_env, seen_oids)
                for name, value in values_in(content)
            }
            return rendered(content, known)
        if isinstance(content, str):
            return self._render_text(content, context, jinja_env or self.get_template_env())
        return super().render_template(content, context, jinja_env, seen_oids)

    def _render_text(self, content: str, context: Context, jinja_env: Any) -> Any:
        if not _has_template(content, jinja_env):
            return content  # saves time: a list may have a million keys
        seen: list[Any] = []
        result = self._rendered_by(jinja_env, content, context, lambda value: _none_marked(value, seen))
        if not isinstance(result, str):
            if any(value is result for value in seen) or isinstance(result, (list, dict)):
                return result
            # Native rendering reads text as Python, and would turn "2026.10" into 2026.1. It does not change
            # text that begins with a character with which no Python expression can begin.
            result = self._rendered_by(jinja_env, f"\0{content}", context, str)[1:]
        if result == _NONE or (result == "None" and content != "None"):
            return None
        if _NONE in result:
            raise ValueError(
                f"the template {content!r} puts None into a text: give it a default, such as "
                "{{ params.folder or 'inbox' }}"
            )
        return result

    def _rendered_by(
        self, jinja_env: Any, content: str, context: Context, finalize: Callable[[Any], Any]
    ) -> Any:
        """Render; ``finalize`` is called with every value that is inserted into the text."""
        own = jinja_env.finalize or (lambda value: value)
        environment = jinja_env.overlay(finalize=lambda value: finalize(own(value)))
        environment.filters = {**jinja_env.filters, _MARK: lambda value: _NONE if _is_none(value) else value}
        return self._render(environment.from_string(_with_marks(environment.parse(content))), context)


class _Partial(OperatorPartial):
    """A partial whose mapped task depends on all tasks whose results are in its arguments."""

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        mapped = with_new_names(mapped_kwargs)
        return self._depending(super().expand(**mapped), mapped)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        if isinstance(kwargs, (list, tuple)):
            kwargs = [with_new_names(each) if isinstance(each, Mapping) else each for each in kwargs]
        return self._depending(super().expand_kwargs(kwargs, strict=strict), kwargs)

    def _depending(self, task: MappedOperator, mapped: Any) -> MappedOperator:
        """Make the task depend on all results in its arguments; Airflow itself finds only some of them."""
        _depend(task, mapped)
        for name, value in self.kwargs.items():
            if name not in _AIRFLOWS_OWN:
                _depend(task, value)
        return task


_AIRFLOWS_OWN = frozenset({"dag", "task_group", "params", "default_args"})
"""Arguments that can contain tasks without making the mapped task depend on them."""


def with_new_names(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under their current names."""
    for old, new in _RENAMED.items():
        if old in kwargs:
            warnings.warn(f"the argument {old} is now called {new}", DeprecationWarning, stacklevel=3)
    return {_RENAMED.get(name, name): value for name, value in kwargs.items()}


def _depend(task: Any, content: Any) -> None:
    for found in _results_in(content):
        XComArg.apply_upstream_relationship(task, found)


def _results_in(content: Any) -> Iterator[Any]:
    if is_value(content):
        for _, value in values_in(content):
            yield from _results_in(value)
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _results_in(value)
    elif isinstance(content, (list, tuple, set, frozenset)):
        for item in content:
            yield from _results_in(item)
    elif isinstance(content, XComArg):
        yield content


def _has_template(content: str, jinja_env: Any) -> bool:
    names = ("variable_start_string", "block_start_string", "comment_start_string")
    is_literal = content.startswith(("[", "{"))  # native rendering turns it into a list or a dict
    return is_literal or any(getattr(jinja_env, name) in content for name in names)


def _with_marks(template: nodes.Template) -> nodes.Template:
    """The template, with the filter that marks None in every expression that builds a text itself."""

    def marked(node: nodes.Expr) -> nodes.Expr:
        return nodes.Filter(node, _MARK, [], [], None, None, lineno=node.lineno)

    for joined in template.find_all(nodes.Concat):  # {{ params.folder ~ '/' }}
        joined.nodes = [marked(node) for node in joined.nodes]
    for filled in template.find_all(nodes.Mod):  # {{ '%s/' % params.folder }}
        if isinstance(filled.left, nodes.Const) and isinstance(filled.left.value, str):
            if isinstance(filled.right, nodes.Tuple):
                filled.right.items = [marked(node) for node in filled.right.items]
            else:
                filled.right = marked(filled.right)
    for called in template.find_all(nodes.Call):  # {{ '{}/'.format(params.folder) }}
        if isinstance(called.node, nodes.Getattr) and called.node.attr == "format":
            called.args = [marked(node) for node in called.args]
    return template


def _none_marked(value: Any, seen: list[Any]) -> Any:
    if hasattr(type(value), "__wrapped__"):  # Airflow reads some values, such as Variables, lazily
        value = value.__wrapped__
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, list, tuple)):
        value = list(value)  # the results of a mapped task, whose text form would not contain them
    seen.append(value)
    return _NONE if _is_none(value) else value


def _is_none(value: Any) -> bool:
    """Whether the value is None, or an undefined name in a DAG that allows undefined names."""
    return value is None or isinstance(value, Undefined)


def _code(content: Any) -> Any:
    """An argument as the code of the DAG has it, in a form that is the same in every process."""
    if is_value(content):
        # A time window that moves with each run does not make the work another one.
        skipped = _TIME_BOUNDS if isinstance(content, (Inventory, ObjectSelection)) else set()
        named = {name: _code(value) for name, value in values_in(content) if name not in skipped}
        return [type(content).__name__, named]
    if content is None or isinstance(content, (bool, int, float, str)):
        return content
    if isinstance(content, Mapping):
        return {str(name): _code(value) for name, value in content.items()}
    if isinstance(content, (set, frozenset)):
        return sorted(map(_code, content), key=str)
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return [_code(item) for item in content]
    return stable_text(content)
