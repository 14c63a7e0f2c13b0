"""The one exception that a user of the course is meant to read."""


class UserError(ValueError):
    """A mistake that its user can mend: one sentence says what was wrong and what to do."""
