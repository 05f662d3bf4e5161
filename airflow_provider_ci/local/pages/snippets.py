"""Code to copy: a job in Python, as a DAG and as a curl request, and the lines that connect to this server.

The key is shown only if it is the documented example. A user's own key is never shown, because every user of
this machine can read the page; the snippets show a placeholder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from shlex import quote

from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.local.jobs.jobs import MASK, Job
from airflow_provider_ci.local.jobs.requests.submission import target_of
from airflow_provider_ci.local.pages import process
from airflow_provider_ci.local.pages.parts import REGION, Parts
from airflow_provider_ci.local.pages.sentences import parameters, short_name

OWN_KEY = "YOUR_SECRET_KEY"
OWN_TOKEN = "YOUR_TOKEN"  # noqa: S105 - a placeholder
OWN_PASSWORD = "PASSWORD_OF_THE_DOCUMENT"  # noqa: S105 - a placeholder
OWN_BASE64_PASSWORD = "BASE64_OF_THE_PASSWORD"  # noqa: S105 - a placeholder
EXAMPLE_BUCKET = "examplebucket-1250000000"

_TEMPLATE_SIGNS = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """How a program submits jobs of one tag, and the Python names of the API's parameters."""

    path: str
    noun: str
    operator: str
    arguments: Mapping[str, str]


_CALLS: Mapping[str, _Calls] = {
    "DocProcess": _Calls(
        path="/doc_jobs",
        noun="doc_job",
        operator="CIDocProcessOperator",
        arguments={
            "TgtType": "target",
            "SrcType": "source_type",
            "StartPage": "start_page",
            "EndPage": "end_page",
            "PageRanges": "page_ranges",
            "SheetId": "sheet_id",
            "PaperDirection": "paper_direction",
            "PaperSize": "paper_size",
            "ImageParams": "image_params",
            "DocPassword": "password",
            "Comments": "comments",
            "Quality": "quality",
            "Zoom": "zoom",
            "ImageDpi": "image_dpi",
            "PicPagination": "pic_pagination",
        },
    ),
    "DocWatermark": _Calls(
        path="/doc_jobs",
        noun="job",
        operator="CIJobOperator",
        arguments={
            "Type": "type",
            "Image": "image",
            "SrcType": "source_type",
            "Dx": "dx",
            "Dy": "dy",
            "Batch": "batch",
            "HorizontalSpacing": "horizontal_spacing",
            "VerticalSpacing": "vertical_spacing",
        },
    ),
    "FileHashCode": _Calls(
        path="/file_jobs",
        noun="job",
        operator="CIJobOperator",
        arguments={"Type": "type", "AddToHeader": "add_to_header"},
    ),
    "FileUncompress": _Calls(
        path="/file_jobs",
        noun="job",
        operator="CIJobOperator",
        arguments={
            "Prefix": "prefix",
            "PrefixReplaced": "prefix_replaced",
            "UnCompressKey": "password",
            "ListingFile": "listing",
        },
    ),
    "PicProcess": _Calls(
        path="/pic_jobs",
        noun="pic_job",
        operator="CIPicProcessOperator",
        arguments={"ProcessRule": "rule"},
    ),
}
_PLACES = {"DocPassword": OWN_PASSWORD, "UnCompressKey": OWN_BASE64_PASSWORD}
_EXACT = (*_PLACES, "Prefix", "PageRanges")
"""Parameters that are text, even if they look like a number or a flag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A text to copy."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a program needs to reach this server, in a form that a page may show."""

    endpoint: str
    secret_id: str
    secret_key: str
    token: str
    certificate: str

    @classmethod
    def of(cls, parts: Parts, endpoint: str) -> Access:
        """The access of a running server."""
        credentials: Credentials = parts.credentials
        return cls(
            endpoint=endpoint,
            secret_id=credentials.secret_id,
            secret_key=credentials.secret_key if parts.is_example_key else OWN_KEY,
            token="" if credentials.token is None else OWN_TOKEN,
            certificate=parts.certificate if endpoint.startswith("https:") else "",
        )


def connections(access: Access, bucket: str) -> list[Snippet]:
    """The lines that connect Airflow and a Python program."""
    extra = {"region": REGION, "bucket": bucket, "endpoint": access.endpoint}
    if access.token:
        extra["token"] = access.token
    if access.certificate:
        extra["verify"] = access.certificate
    values = {
        "conn_type": "tencent_ci",
        "login": access.secret_id,
        "password": access.secret_key,
        "extra": extra,
    }
    line = f"export AIRFLOW_CONN_TENCENT_CI_DEFAULT={quote(json.dumps(values))}"
    imports = "from airflow_provider_ci.client import CIClient, Credentials\n\n"
    return [
        Snippet(name="Airflow", text=line),
        Snippet(name="Python", text=imports + _client(access, bucket)),
    ]


def of_job(access: Access, job: Job) -> list[Snippet]:
    """A job's request in three forms; none for a job of a template, which holds the parameters."""
    if "TemplateId" in job.operation:
        return []
    return [
        Snippet(name="Python", text=_python(access, job)),
        Snippet(name="DAG", text=_dag(job)),
        Snippet(name="curl", text=_curl(access, job)),
    ]


def _client(access: Access, bucket: str) -> str:
    token = f", token={access.token!r}" if access.token else ""
    verify = f", verify={access.certificate!r}" if access.certificate else ""
    return (
        f"keys = Credentials(secret_id={access.secret_id!r}, secret_key={access.secret_key!r}{token})\n"
        f"client = CIClient(keys, {REGION!r}, {bucket!r}, endpoint={access.endpoint!r}{verify})\n"
    )


def _python(access: Access, job: Job) -> str:
    noun = _CALLS[job.tag].noun
    return (
        "import time\n\n"
        f"from airflow_provider_ci.client import CIClient, Credentials, {job.tag}\n\n"
        f"{_client(access, job.bucket)}"
        f"job = client.submit_{noun}(\n"
        f"    {job.input_object!r},\n    {_output(job)!r},\n    {_operation(job, repr)},\n)\n"
        "while not job.state.is_final:\n"
        "    time.sleep(1)\n"
        f"    job = client.get_{noun}(job.job_id)\n"
        "job.raise_for_state()\n"
    )


def _dag(job: Job) -> str:
    operator = _CALLS[job.tag].operator
    name = re.sub(r"[^A-Za-z0-9_]+", "_", short_name(job.input_object)).strip("_")[:60] or "document"
    output = _output(job)
    return (
        "from airflow.sdk import DAG\n\n"
        f"from airflow_provider_ci.client import {job.tag}\n"
        f"from airflow_provider_ci.operators import {operator}\n\n"
        f'with DAG("process_{name}", schedule=None):\n'
        f"    {operator}(\n"
        '        task_id="process",\n'
        f"        input_key={_literal(job.input_object)},\n"
        + (f"        output_key={_literal(output)},\n" if output else "")
        + f"        operation={_operation(job, _literal)},\n"
        "        deferrable=True,\n"
        "    )\n"
    )


def _operation(job: Job, write: Callable[[str], str]) -> str:
    """The operation as Python; ``write`` turns a text into a literal."""
    names = _CALLS[job.tag].arguments
    arguments = [
        f"{names[node]}={_value(node, value, write)}" for node, value in _shown(job).items() if node in names
    ]
    return f"{job.tag}({', '.join(arguments)})"


def _value(node: str, value: str, write: Callable[[str], str]) -> str:
    if node not in _EXACT and re.fullmatch("-?(0|[1-9][0-9]{0,8})", value):
        return value
    if node not in _EXACT and value in ("true", "false"):
        return value.capitalize()
    return write(OWN_PASSWORD if node in _PLACES else value)


def _shown(job: Job) -> dict[str, str]:
    """The parameters as they were sent, the target first, because Python requires one."""
    sent = dict(parameters(job))
    return {"TgtType": "", **sent, **{"TgtType": target_of(sent)}} if job.tag == "DocProcess" else sent


def _sent(job: Job) -> dict[str, str]:
    """The parameters as they were sent, with a placeholder for the password."""
    return {name: _PLACES[name] if value == MASK else value for name, value in parameters(job).items()}


def _output(job: Job) -> str | None:
    """The key of the output; None if the operation has none."""
    return job.operation.get("Output", {}).get("Object")


def _literal(text: str) -> str:
    """A literal for a templated argument, written so that Airflow does not read a key as a template."""
    is_plain = not any(sign in text for sign in _TEMPLATE_SIGNS)
    return repr(text if is_plain else "{{ " + json.dumps(text) + " }}")


def _curl(access: Access, job: Job) -> str:
    path = _CALLS[job.tag].path
    output = _output(job) or ""
    request = process.body(job.tag, job.bucket, job.input_object, output, _sent(job), pretty=True)
    token = f" \\\n  -H {quote(f'x-cos-security-token: {access.token}')}" if access.token else ""
    trust = f" --cacert {quote(access.certificate)}" if access.certificate else ""
    return f"""# A signed request, as any client sends it. Needs curl and openssl.
SECRET_ID={quote(access.secret_id)}
SECRET_KEY={quote(access.secret_key)}
HOST={quote(f"{job.bucket}.ci.{REGION}.myqcloud.com")}
TIME="$(($(date +%s) - 60));$(($(date +%s) + 600))"
sha1() {{ openssl dgst -sha1 "$@" | sed 's/^.* //'; }}
SIGN_KEY=$(printf %s "$TIME" | sha1 -hmac "$SECRET_KEY")
REQUEST=$(printf 'post\\n{path}\\n\\nhost=%s\\n' "$HOST" | sha1)
SIGNATURE=$(printf 'sha1\\n%s\\n%s\\n' "$TIME" "$REQUEST" | sha1 -hmac "$SIGN_KEY")
AUTHORIZATION="q-sign-algorithm=sha1&q-ak=$SECRET_ID&q-sign-time=$TIME&q-key-time=$TIME"
AUTHORIZATION="$AUTHORIZATION&q-header-list=host&q-url-param-list=&q-signature=$SIGNATURE"
curl -sS{trust} {quote(access.endpoint + path)} -H "Host: $HOST" -H 'Content-Type: application/xml' \\
  -H "Authorization: $AUTHORIZATION"{token} \\
  --data-binary {quote(request.decode())}
"""
