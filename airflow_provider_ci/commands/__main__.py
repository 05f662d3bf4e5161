"""``python -m airflow_provider_ci.commands`` is ``ci-batch``."""

import sys

from airflow_provider_ci.commands.main import main

sys.exit(main())
