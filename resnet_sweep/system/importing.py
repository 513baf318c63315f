"""Code of the user's that a field names by its dotted path."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from resnet_sweep.config.errors import ConfigError


def import_dotted(path: str, field: str) -> Any:
    """Return what a dotted path names, looked for in the working directory too.

    Raises:
        ConfigError: there is no such thing, or its module cannot be imported.
    """
    module_name, _, attribute = path.rpartition(".")
    folder = os.getcwd()
    if not {"", folder} & set(sys.path):
        sys.path.insert(0, folder)  # as `python -m` does, for the installed command too
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        problem = f"importing {module_name} from {folder} failed: {reason}"
        raise ConfigError(field, path, problem) from error
    if not hasattr(module, attribute):
        raise ConfigError(field, path, f"module {module_name} has no {attribute}")
    return getattr(module, attribute)
