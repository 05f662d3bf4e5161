"""The local CI's own pages: what a browser on the same machine sees at its address.

They show buckets, queues and jobs, and change something only by the operations that API clients use. Nothing
in here answers a signed request.
"""
