"""Errors, one class for each decision of a caller."""


class ShoalError(Exception):
    """The base of all others."""


class Unavailable(ShoalError):
    """The fleet does not answer: compute without it, or retry."""


class Overloaded(ShoalError):
    """There is no room for the value: compute without it."""


class Refused(ShoalError):
    """The API key is missing or wrong: fix the configuration."""


class Corrupt(ShoalError):
    """The bytes are not what they should be: compute, and store them again."""


class Unsupported(ShoalError):
    """This client cannot read or write it in this way: change the options, or install what the message names."""
