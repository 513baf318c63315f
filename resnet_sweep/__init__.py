"""Find small image networks: one training entry point, Optuna sweeps, honest analysis."""

__version__ = "0.1.0"
