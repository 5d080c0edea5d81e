"""Measures of classifiers and detectors. Engine-neutral."""
