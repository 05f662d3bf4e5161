"""One run of a batch: it claims its outputs, plans or continues a plan, submits, waits, and reports.

Its modules share nothing but the state of the batch; :mod:`.session` puts them in order.
"""
