"""The same job as Python, as a DAG and as a signed curl request; and the lines that connect to this server.

The key is written out only if it is the documented one. A key of the user's own is never in a page, for every
user of this machine can read the page: the texts then name a place for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.local.jobs.jobs import MASK, Job
from airflow_provider_ci.local.pages import process
from airflow_provider_ci.local.pages.parts import REGION, Parts
from airflow_provider_ci.local.pages.sentences import short_name

OWN_KEY = "YOUR_SECRET_KEY"
OWN_TOKEN = "YOUR_TOKEN"  # noqa: S105 - a place for one
OWN_PASSWORD = "PASSWORD_OF_THE_DOCUMENT"  # noqa: S105 - a place for one
EXAMPLE_BUCKET = "examplebucket-1250000000"

_ARGUMENTS = {
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
}
_TEMPLATE_SIGNS = ("{{", "{%", "{#")
_PATHS = {"DocProcess": "/doc_jobs", "PicProcess": "/pic_jobs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A text to copy."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a program reaches this server, as it may be shown in a page."""

    endpoint: str
    secret_id: str
    secret_key: str
    token: str

    @classmethod
    def of(cls, parts: Parts, endpoint: str) -> Access:
        """The access of a running server."""
        credentials: Credentials = parts.credentials
        return cls(
            endpoint=endpoint,
            secret_id=credentials.secret_id,
            secret_key=credentials.secret_key if parts.is_example_key else OWN_KEY,
            token="" if credentials.token is None else OWN_TOKEN,
        )


def connections(access: Access, bucket: str) -> list[Snippet]:
    """What to tell Airflow and a Python program."""
    extra = {"region": REGION, "bucket": bucket, "endpoint": access.endpoint}
    if access.token:
        extra["token"] = access.token
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
    """The request of a job in three languages; a template's job has none, for its template says it."""
    if "TemplateId" in job.operation:
        return []
    return [
        Snippet(name="Python", text=_python(access, job)),
        Snippet(name="DAG", text=_dag(job)),
        Snippet(name="curl", text=_curl(access, job)),
    ]


def _client(access: Access, bucket: str) -> str:
    token = f", token={access.token!r}" if access.token else ""
    return (
        f"keys = Credentials(secret_id={access.secret_id!r}, secret_key={access.secret_key!r}{token})\n"
        f"client = CIClient(keys, {REGION!r}, {bucket!r}, endpoint={access.endpoint!r})\n"
    )


def _python(access: Access, job: Job) -> str:
    operation, submit = _operation(job)
    return (
        "import time\n\n"
        f"from airflow_provider_ci.client import CIClient, Credentials, {job.tag}\n\n"
        f"{_client(access, job.bucket)}"
        f"job = client.{submit}(\n"
        f"    {job.input_object!r},\n    {_output(job)!r},\n    {operation},\n)\n"
        "while not job.state.is_final:\n"
        "    time.sleep(1)\n"
        f"    job = client.{submit.replace('submit', 'get')}(job.job_id)\n"
        "job.raise_for_state()\n"
    )


def _dag(job: Job) -> str:
    operation, _ = _operation(job, in_template=True)
    operator = "CIDocProcessOperator" if job.tag == "DocProcess" else "CIPicProcessOperator"
    name = re.sub(r"[^A-Za-z0-9_]+", "_", short_name(job.input_object)).strip("_")[:60] or "document"
    return (
        "from airflow.sdk import DAG\n\n"
        f"from airflow_provider_ci.client import {job.tag}\n"
        f"from airflow_provider_ci.operators import {operator}\n\n"
        f'with DAG("process_{name}", schedule=None):\n'
        f"    {operator}(\n"
        '        task_id="process",\n'
        f"        input_key={_literal(job.input_object)!r},\n"
        f"        output_key={_literal(_output(job))!r},\n"
        f"        operation={operation},\n"
        "        deferrable=True,\n"
        "    )\n"
    )


def _operation(job: Job, *, in_template: bool = False) -> tuple[str, str]:
    """The operation as Python, and the method that submits it."""
    sent = _sent(job)
    write = _literal if in_template else str
    if job.tag == "PicProcess":
        return f"PicProcess({write(sent['ProcessRule'])!r})", "submit_pic_job"
    arguments = [f"target={_target(sent)!r}"]
    for node, value in sent.items():
        if node in _ARGUMENTS:
            shown = value if re.fullmatch("-?[0-9]{1,9}", value) and node != "DocPassword" else None
            arguments.append(f"{_ARGUMENTS[node]}={shown or repr(write(value))}")
    return f"DocProcess({', '.join(arguments)})", "submit_doc_job"


def _target(sent: Mapping[str, str]) -> str:
    target = sent.get("TgtType", "").lower()
    return target if target in ("pdf", "png", "jpg") else "jpg"


def _sent(job: Job) -> dict[str, str]:
    """The parameters as they were sent, with a place for the password."""
    sent = dict(job.operation[job.tag])
    return {name: OWN_PASSWORD if value == MASK else value for name, value in sent.items()}


def _output(job: Job) -> str:
    return job.operation["Output"]["Object"]


def _literal(text: str) -> str:
    """Text of a templated argument: Airflow must not read a key as a template."""
    if not any(sign in text for sign in _TEMPLATE_SIGNS):
        return text
    return "{{ " + json.dumps(text) + " }}"


def _curl(access: Access, job: Job) -> str:
    path = _PATHS[job.tag]
    request = process.body(job.tag, job.bucket, job.input_object, _output(job), _sent(job), pretty=True)
    token = f" \\\n  -H {quote(f'x-cos-security-token: {access.token}')}" if access.token else ""
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
curl -sS {quote(access.endpoint + path)} -H "Host: $HOST" -H 'Content-Type: application/xml' \\
  -H "Authorization: $AUTHORIZATION"{token} \\
  --data-binary {quote(request.decode())}
"""
