"""Adapters to other libraries: one module each, with an extra that installs what it needs."""
