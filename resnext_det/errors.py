"""The one exception for mistakes a user can mend. Engine-neutral."""


class UserError(ValueError):
    """A mistake in a config, a command, a data set or a file.

    The message is one line that names the file, key or image and says how to mend it.
    The commands print it without a traceback and exit with status 2.
    """
