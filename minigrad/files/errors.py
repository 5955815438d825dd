"""The error that every file which can't be read raises."""


class FileFormatError(ValueError):
    """Raised for what is not a valid file of this package, and for what such a file cannot hold."""
