"""Exercises: what is broken or half written, and a grader that names what is wrong."""
