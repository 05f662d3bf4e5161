"""Isolation of the worker processes: a worker sees only its program files, fonts and its own folder.

Bubblewrap is used if the system allows it, otherwise Landlock; ``find_sandbox`` tries them in this order and
returns the first working sandbox.
"""

from airflow_provider_ci.local.convert.sandbox.detection import find_sandbox
from airflow_provider_ci.local.convert.sandbox.kinds import Bubblewrap, Landlock, NoSandbox, Sandbox
from airflow_provider_ci.local.convert.sandbox.view import View

__all__ = ["Bubblewrap", "Landlock", "NoSandbox", "Sandbox", "View", "find_sandbox"]
