"""Saving and loading: models as safetensors files, written atomically, read without running code."""
