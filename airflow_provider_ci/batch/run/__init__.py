"""One run of a batch: it claims its outputs, plans or continues a plan, submits, waits, and reports.

Its modules share only the state of the batch; :mod:`.session` calls them in their order.
"""
