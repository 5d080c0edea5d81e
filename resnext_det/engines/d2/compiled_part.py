"""What Detectron2's compiled part was built for. Detectron2."""

from typing import Any


def compiled_part() -> tuple[str, str | None]:
    """Loads the compiled part, which fails where it was built for another torch.

    Returns:
        The compiler, as in "GCC 12.2", and the version of CUDA; None where it has no CUDA.

    Raises:
        ImportError: it is not there, or does not load.
    """
    import detectron2._C as compiled  # Detectron2 itself goes without it until it is called

    part: Any = compiled
    has_cuda = part.has_cuda()
    version = part.get_cuda_version().removeprefix("CUDA").strip() if has_cuda else None
    return part.get_compiler_version(), version
