"""What goes wrong in the store."""


class StoreError(Exception):
    """The database cannot be opened, read or written; the text is meant for a person.

    It never holds bound values: what was to be written stays out of logs.
    """


class UnavailableError(StoreError):
    """Locked, full, read-only, damaged: not the fault of what was asked for, which may be asked again."""


class LockedError(StoreError):
    """Another process has the database: a daemon, or a command for a moment."""


class GoneError(StoreError):
    """The file was deleted or replaced while it was in use."""


class DestinationError(StoreError):
    """The named destination cannot be written to: another one has to be named."""
