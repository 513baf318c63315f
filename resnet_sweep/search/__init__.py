"""From a search space to a proposal, or to why it is rejected; samplers and pruners."""
