"""The two detection engines: `portable` (plain PyTorch) and `d2` (Detectron2)."""
