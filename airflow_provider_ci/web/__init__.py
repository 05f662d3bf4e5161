"""What the pages of this package share: templates, one stylesheet, one script, headers and figures.

The pages of batches in Airflow and the pages of the local CI are built from them. This folder imports neither
Airflow nor the rest of the package.
"""

from __future__ import annotations

from airflow_provider_ci.web.chart import Chart, line_chart
from airflow_provider_ci.web.files import STATIC_HEADERS, StaticFile, static_file
from airflow_provider_ci.web.headers import FILE_HEADERS, PAGE_HEADERS, content_security_policy
from airflow_provider_ci.web.pages import environment

__all__ = [
    "FILE_HEADERS",
    "PAGE_HEADERS",
    "STATIC_HEADERS",
    "Chart",
    "StaticFile",
    "content_security_policy",
    "environment",
    "line_chart",
    "static_file",
]
