"""Utilities that every other room uses."""
