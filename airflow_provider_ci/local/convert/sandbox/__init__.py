"""Isolation of the worker processes: a worker sees its program files, fonts and its own folder, nothing else.

Bubblewrap where the system allows it, else Landlock; ``find_sandbox`` tries them and says which one holds.
"""

from airflow_provider_ci.local.convert.sandbox.detection import find_sandbox
from airflow_provider_ci.local.convert.sandbox.kinds import Bubblewrap, Landlock, NoSandbox, Sandbox
from airflow_provider_ci.local.convert.sandbox.view import View

__all__ = ["Bubblewrap", "Landlock", "NoSandbox", "Sandbox", "View", "find_sandbox"]
