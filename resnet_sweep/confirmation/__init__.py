"""From the best of a sweep to a result one can defend: choose, measure the promise, test."""
