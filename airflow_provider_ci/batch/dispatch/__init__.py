"""The jobs of a plan: what each does, which queue takes it, how its end is noticed, and what the end means.

Nothing here decides when a run does these things; :mod:`airflow_provider_ci.batch.run` does.
"""
