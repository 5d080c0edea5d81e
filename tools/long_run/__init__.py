"""Long runs whose memory and handles are watched. Engine-neutral."""
