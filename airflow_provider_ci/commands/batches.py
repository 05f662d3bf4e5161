"""Builds batches from the options of a command."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch import (
    Batch,
    Inventory,
    Manifest,
    ObjectKeys,
    ObjectSelection,
    PriceTable,
    failures_of,
)
from airflow_provider_ci.client import CIClient, DocProcess, PicProcess, PicTemplate

_FILTERS = ("suffix", "include", "exclude", "modified_after", "modified_before")
_WITHOUT_EFFECT = {
    "keys": ("manifest", "inventory", "failures_of", "prefix", *_FILTERS),
    "manifest": ("inventory", "failures_of", "prefix", *_FILTERS),
    "inventory": ("failures_of",),
    "failures_of": _FILTERS,
}
"""For each source: the options that have no effect with it."""
_SECRET = "password"  # noqa: S105 # the name of a field


def batch_of(options: argparse.Namespace, client: CIClient, **more: Any) -> Batch:
    """Return the batch that a command line describes.

    :raises ValueError: an option is missing or invalid; the message names the option.
    """
    if not options.output:
        raise ValueError(
            "--output is missing: the template of the output keys, such as 'pdf/{dir}{stem}.pdf'"
        )
    return Batch(
        client,
        source_of(options),
        operation_of(options),
        options.output,
        batch_id=options.batch,
        **settings_of(options),
        **more,
    )


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a batch that the options contain."""
    names = (
        *(
            "report_prefix",
            "queue_ids",
            "job_level",
            "max_jobs",
            "canary",
            "canary_failures",
            "max_failures",
            "skip",
        ),
        *("max_in_flight", "timeout_seconds", "outage_seconds", "retry_failed", "on_running"),
        *("output_bucket", "output_region"),
    )
    given = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def source_of(options: argparse.Namespace) -> Any:
    """Return the source: a list of keys, a manifest, an inventory, failures of a batch, or a selection.

    :raises ValueError: options contradict each other, or no option names a source.
    """
    _refuse_contradictions(options)
    if options.keys:
        text = sys.stdin.read() if options.keys == "-" else Path(options.keys).read_text("utf-8")
        return ObjectKeys(keys=[line for line in text.split("\n") if line])
    prefix = options.prefix or ""
    if options.failures_of:
        return failures_of(options.failures_of, prefix=prefix, report_prefix=options.report_prefix)
    if options.manifest:
        return Manifest(options.manifest)
    filters = {
        "suffixes": options.suffix or (),
        "include": options.include or (),
        "exclude": options.exclude or (),
        "modified_after": options.modified_after,
        "modified_before": options.modified_before,
    }
    if options.inventory:
        return Inventory(options.inventory, key_prefix=prefix, **filters)
    if options.prefix is None:
        raise ValueError(
            "the source is missing: --prefix ('' for the whole bucket), --keys, --manifest, --inventory or "
            "--failures-of"
        )
    return ObjectSelection(prefix=prefix, **filters)


def _refuse_contradictions(options: argparse.Namespace) -> None:
    """Reject options that would have no effect together with others, because the user expects an effect."""
    for name, unused in _WITHOUT_EFFECT.items():
        given = [each for each in unused if getattr(options, each) not in (None, ())]
        if getattr(options, name) and given:
            named = ", ".join(map(_option, given))
            raise ValueError(f"{_option(name)} names the objects, so {named} cannot be given, too")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def operation_of(options: argparse.Namespace) -> Any:
    """Return the operation: a rule or a template for pictures, otherwise a document conversion.

    :raises ValueError: the options name no operation, or several.
    """
    given = [name for name in ("target", "rule", "template_id") if getattr(options, name)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(map(_option, given))} name different operations: give one of them")
    if given != ["target"] and given and (options.set or options.password_env):
        raise ValueError(
            f"--set and --password-env are for documents, and {_option(given[0])} is for pictures"
        )
    if options.rule:
        return PicProcess(options.rule)
    if options.template_id:
        return PicTemplate(options.template_id)
    if not options.target:
        raise ValueError("the operation is missing: --target, --rule or --template-id")
    values = dict(_field(text) for text in options.set or ())
    return DocProcess(target=options.target, **values, **secret_of(options))


def secret_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the password of protected documents from the environment variable that an option names."""
    name = options.password_env
    if not name:
        return {}
    if not os.environ.get(name):
        raise ValueError(f"--password-env: the environment has no variable {name}")
    return {_SECRET: os.environ[name]}


def prices_of(options: argparse.Namespace) -> PriceTable:
    """Return the prices for an estimate of the costs."""
    values = dict(text.partition("=")[::2] for text in options.price or ())
    known = [field.name for field in fields(PriceTable)]
    for name in values:
        if name not in known:
            raise ValueError(f"--price: {name!r} is not one of {', '.join(known)}")
    return PriceTable(**values)


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    known = [field.name for field in fields(DocProcess) if field.name not in (_SECRET, "target", "extra")]
    if name == _SECRET:
        raise ValueError("--set: a password must not stand on the command line; use --password-env")
    if not equals or name not in known:
        raise ValueError(f"--set: {text!r} is not NAME=VALUE with one of {', '.join(known)}")
    return name, int(value) if value.lstrip("-").isdecimal() else value
