"""What a design keeps, and how nearly. Engine-neutral."""

from typing import Literal

Match = Literal["block", "params", "flops"]
MATCHES: tuple[Match, ...] = ("block", "params", "flops")
TOLERANCE = 5.0  # percent
CARDINALITIES = "1,2,4,8,16,32,64"  # that are designed where none are named
