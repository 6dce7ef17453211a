"""Links proposed for a plan, which a curator accepts or rejects: their grounds, their file, and what acceptance writes."""
