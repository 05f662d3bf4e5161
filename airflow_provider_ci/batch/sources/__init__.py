"""Where the objects of a batch come from: a listing, or keys named one by one.

Each source yields the objects it found, and the keys that cannot be used with the reason.
"""
