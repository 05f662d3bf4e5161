"""The jobs of a plan: what each does, which queue takes it, how its end is noticed, and what the end means.

:mod:`airflow_provider_ci.batch.run` decides when a run does each of these things.
"""
