"""Faster R-CNN with FPN in plain PyTorch, giving Detectron2's numbers. Portable."""
