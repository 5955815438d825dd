"""The error that every file which can't be read raises."""


class FileFormatError(ValueError):
    """Raised for what is not a valid file of this package, and for what such a file cannot hold.

    Its message begins with the file. A file that isn't there, or can't be read, is an `OSError`.

    >>> import pathlib, tempfile
    >>> from minigrad import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.safetensors")
    ...     path.touch()
    ...     load(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    minigrad.saving.errors.FileFormatError: '...net.safetensors': ...
    """
