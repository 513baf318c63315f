"""Recipes side by side, and what changes to a recipe do: steps one by one, factors at once."""
