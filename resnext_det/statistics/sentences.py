"""A paired difference as one plain sentence. Engine-neutral."""

from resnext_det.statistics.bootstrap import PairedDifference


def difference_sentence(difference: PairedDifference, first: str, second: str) -> str:
    """Says whether the second network scores more, less, or is not told apart.

    One decimal; two where an end of an interval would be printed as 0.0 and is not.

    Args:
        difference: of the two.
        first: the first one's name.
        second: the second one's name.
    """
    ends = [difference.low, difference.high, difference.t_low, difference.t_high]
    digits = 2 if any(end and abs(end) < 0.05 for end in ends) else 1
    value, metric = signed(difference.value, digits), difference.metric
    images = f"{difference.num_images} image{'s' if difference.num_images > 1 else ''}"
    width = f"{100 * difference.confidence:g} %"
    over = f"{signed(difference.low, digits)} to {signed(difference.high, digits)}"
    if difference.t_low is None or difference.t_high is None:
        return (
            "With one seed each, this compares two trained networks, not architectures: "
            f"{second} minus {first} is {value} in {metric} ({width} interval over {images}: "
            f"{over})."
        )
    intervals = (
        f"{value} ({width} intervals: {over} over {images} and {difference.num_seeds} seeds, "
        f"{signed(difference.t_low, digits)} to {signed(difference.t_high, digits)} over the seeds "
        "alone)"
    )
    if difference.verdict == "not told apart":
        return (
            f"{second} and {first} are not told apart in {metric} by this much data: {intervals}."
        )
    return f"{second} has a {difference.verdict} {metric} than {first}: {intervals}."


def signed(value: float, digits: int = 1) -> str:
    """Returns percent points with their sign, which 0.0 has not.

    Args:
        value: the points.
        digits: decimals.
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text
