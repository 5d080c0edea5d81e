"""What a study would cost: images, measured hours, memory and disk. Engine-neutral."""
