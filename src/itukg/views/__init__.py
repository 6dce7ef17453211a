"""What users ask for: one file for each, from a store and parameters to an answer."""
