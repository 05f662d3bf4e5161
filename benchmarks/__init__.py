"""One question per file. The result is a ratio of ours to the peer, measured in the same run."""
