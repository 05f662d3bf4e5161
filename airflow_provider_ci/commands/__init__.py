"""The commands ``ci-batch``, which runs batches, and ``ci-check``, which checks a bucket.

The module ``main`` implements ``ci-batch``, and ``check`` implements ``ci-check``. Both connect in the same
way. They need Airflow only to read an Airflow connection.
"""
