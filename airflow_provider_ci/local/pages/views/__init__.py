"""One module for each kind of page; its views turn the parts of the server into the values of a template."""
