"""The life of a run: from a checked configuration to its run folder."""
