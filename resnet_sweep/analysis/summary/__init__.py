"""The command that summarises a folder of runs, and what it writes."""
