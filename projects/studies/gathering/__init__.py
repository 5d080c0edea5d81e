"""From finished runs to result.json: rows, checks, comparisons, pictures. Engine-neutral."""
