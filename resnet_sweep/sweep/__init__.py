"""One sweep, from the command line to its results."""
