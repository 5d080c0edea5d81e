"""What lies on the disk of a study: whose it is, locks, records of runs. Engine-neutral."""
