"""Runs that are killed at random moments, and what comes of them. Engine-neutral."""
