"""The public names of the client, and the modules that importing it loads."""

from __future__ import annotations

import subprocess
import sys

from airflow_provider_ci import client


def test_the_names_are_sorted_and_there() -> None:
    assert list(client.__all__) == sorted(client.__all__)
    assert all(hasattr(client, name) for name in client.__all__)


def test_importing_the_client_imports_no_airflow_and_nothing_else_of_ours() -> None:
    program = (
        "import sys, airflow_provider_ci.client\n"
        "print(*[name for name in sys.modules if name.split('.')[0] in ('airflow', 'aiohttp', 'PIL')"
        " or name.startswith('airflow_provider_ci.') and not name.startswith('airflow_provider_ci.client')])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
