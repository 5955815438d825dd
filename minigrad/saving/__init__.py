"""Saving and loading: safetensors files, written atomically and read without running code."""
