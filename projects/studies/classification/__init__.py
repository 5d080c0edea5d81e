"""What studies of classifiers share: rows, data in small, errors. Engine-neutral."""
