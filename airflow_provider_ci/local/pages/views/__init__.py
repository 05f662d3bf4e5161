"""One module for each kind of page: from the parts of the server to the values of a template."""
