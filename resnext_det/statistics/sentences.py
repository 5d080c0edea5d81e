"""A paired difference as one plain sentence. Engine-neutral."""

from resnext_det.statistics.bootstrap import PairedDifference


def difference_sentence(difference: PairedDifference, first: str, second: str) -> str:
    """Says whether the second network scores more, less, or is not told apart.

    Args:
        difference: of the two.
        first: the first one's name.
        second: the second one's name.
    """
    value, metric = signed(difference.value), difference.metric
    images = f"{difference.num_images} image{'s' if difference.num_images > 1 else ''}"
    width = f"{100 * difference.confidence:g} %"
    over = f"{signed(difference.low)} to {signed(difference.high)}"
    if difference.t_low is None or difference.t_high is None:
        return (
            f"{second} minus {first}: {metric} {value} ({width} interval over {images}: {over}); "
            "one seed each speaks of these two trained networks, not of the architectures."
        )
    intervals = (
        f"{value} ({width} intervals: {over} over {images} and {difference.num_seeds} seeds, "
        f"{signed(difference.t_low)} to {signed(difference.t_high)} over the seeds alone)"
    )
    if difference.verdict == "not told apart":
        return (
            f"{second} and {first} are not told apart in {metric} by this much data: {intervals}."
        )
    return f"{second} has a {difference.verdict} {metric} than {first}: {intervals}."


def signed(value: float) -> str:
    """Returns percent points with one decimal and their sign, which 0.0 has not."""
    text = f"{value:+.1f}"
    return text[1:] if float(text) == 0 else text
