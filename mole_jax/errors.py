"""The one exception that means: the person at the keyboard can mend this."""


class UserError(ValueError):
    """A user's mistake. The message is one sentence: what was wrong (the value), where, and what to do.

    The commands print it without a traceback and exit with status 2.
    """
