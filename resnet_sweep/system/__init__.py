"""What every program needs of its machine: command line, console, files, signals, locks."""
