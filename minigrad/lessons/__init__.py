"""Exercises: broken or half-written layers, and a grader that names what is wrong."""
