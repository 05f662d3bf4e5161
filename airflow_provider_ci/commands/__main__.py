"""Runs ``ci-batch`` for ``python -m airflow_provider_ci.commands``."""

import sys

from airflow_provider_ci.commands.main import main

sys.exit(main())
