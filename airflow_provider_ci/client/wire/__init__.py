"""The content of responses and requests: XML, its nodes, and refusals in our words."""
