"""Times in alternation, medians and ratios with intervals, and what they depend on."""
