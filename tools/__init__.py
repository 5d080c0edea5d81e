"""What keeps this repository, by a name that Detectron2 installs, too. Engine-neutral."""
