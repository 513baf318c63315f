"""Data sets, their split, and their way onto the device."""
