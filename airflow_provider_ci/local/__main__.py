"""Makes ``python -m airflow_provider_ci.local serve …`` the same as ``ci-local serve …``."""

from __future__ import annotations

import sys

from airflow_provider_ci.local.cli import main

sys.exit(main())
