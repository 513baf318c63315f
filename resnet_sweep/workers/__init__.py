"""Who trains the trials of a study: storage, claims, workers, launchers, supervisor."""
