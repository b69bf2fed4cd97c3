"""What goes wrong in the store."""


class StoreError(Exception):
    """The database cannot be opened, read or written; the text is meant for a person.

    It never holds bound values: what was to be written stays out of logs.
    """
