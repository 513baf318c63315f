"""The only owner of every file format in a run folder: writing, reading, validating.

`run_folder` is free of torch; `checkpoint` is not, and is imported where it is needed.
"""
