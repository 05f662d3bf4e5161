"""``python -m airflow_provider_ci.check``: the command ``ci-check``."""

from __future__ import annotations

import sys

from airflow_provider_ci.check.cli import main

if __name__ == "__main__":
    sys.exit(main())
