"""Networks: their plan (free of torch), the modules, the budget and the drawings."""
