"""Releases: built, described, compared, kept and published."""
