"""Code that the client's records share: checks of fields, the serialized form, pages, secrets."""
