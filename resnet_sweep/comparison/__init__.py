"""What changes to a recipe do: many at once (screening), or one after another (ablation)."""
