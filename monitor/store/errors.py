"""The errors of the store."""


class StoreError(Exception):
    """The database cannot be opened, read or written. The text is meant for a person.

    It never has bound values, so the data of a write stay out of logs.
    """


class UnavailableError(StoreError):
    """The database is locked, full, read-only or damaged. The work is not at fault and may be retried."""


class LockedError(StoreError):
    """Another process has the database: a daemon, or, for a moment, a command."""


class GoneError(StoreError):
    """The file was deleted or replaced while it was in use."""


class DestinationError(StoreError):
    """The destination cannot be written; the user must choose another one."""
