"""The content of requests and responses: XML, its nodes, and the translation of service errors."""
