"""Where the objects of a batch come from: a listing, a list of keys, a manifest, an inventory or a report.

Each source yields the objects that it found and, with the reason, the keys that cannot be used.
"""
