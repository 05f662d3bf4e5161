"""The commands ``ci-batch`` and ``ci-check``: batches and the check of a bucket, from a terminal.

``main`` reads the command line of ``ci-batch``, ``check`` that of ``ci-check``. Both connect in the same way,
and neither needs Airflow, except to read a connection.
"""
