"""What may be said of two networks: spread over seeds, paired differences, intervals."""
