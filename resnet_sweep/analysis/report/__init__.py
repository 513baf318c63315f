"""report.html: one file with everything, that needs no network."""
