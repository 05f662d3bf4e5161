"""What a batch reports: the result of every object, in parts with an index, and the summary in numbers.

:class:`~airflow_provider_ci.batch.reports.pages.BatchReport` reads pages of a report, however long it is.
"""
