"""What every request and answer has in common: signature, host, XML, ranges, and faults on demand."""
