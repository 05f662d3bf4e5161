"""One question per file; each answers it as a ratio, ours against the peer, measured in the same run."""
