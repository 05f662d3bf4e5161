"""What all requests and responses have in common: signature, host, XML, ranges, and faults on demand."""
