"""The local CI's own pages: what a browser on the same machine sees at its address.

They show buckets, queues and jobs, and change things only through the operations that API clients use. No
page handles a signed request.
"""
