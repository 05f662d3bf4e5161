"""The command ``ci-batch``: batches from a terminal or a script, without Airflow.

``main`` reads the command line; the other modules connect, do the work and show it.
"""
