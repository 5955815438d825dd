"""Configuration of the kernels that run the pages."""

c = get_config()  # noqa: F821
c.IPKernelApp.log_level = "ERROR"  # else a kernel warns of its unencrypted connection
c.InlineBackend.rc = {"figure.figsize": (6.0, 3.6)}
c.InlineBackend.figure_formats = []  # startup/figures.py shows them
