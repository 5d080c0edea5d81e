"""What is said of a weights file that is not as it was written. Engine-neutral."""

from resnext_det.errors import UserError, one_line

CHANGED = "cut short or changed after it was written"


def damaged(source: str, detail: str = CHANGED) -> UserError:
    """Returns the error to raise.

    Args:
        source: the path or address that the user gave.
        detail: what shows it.
    """
    return UserError(one_line(f"{source}: is damaged ({detail}); fetch or copy it again"))
