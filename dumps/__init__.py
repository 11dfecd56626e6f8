"""Runs the dumps of a backup set and writes their completion markers."""
