"""How fast a detector runs on this machine, under which setting, and beside others'."""
