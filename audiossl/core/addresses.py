"""What packages behind fsspec raise, by kinds that a user can do something about."""

from __future__ import annotations

_REFUSED = (401, 403)  # of HTTP
CREDENTIALS = "give the credentials that its package looks for, as AWS_PROFILE or AWS_ACCESS_KEY_ID for s3://"


def is_refused(error: BaseException) -> bool:
    """Whether a place answered that it needs credentials, or its package found none. Each has errors of its own.

    >>> is_refused(PermissionError("Access Denied")), is_refused(TimeoutError())
    (True, False)
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, PermissionError) or any(name.endswith("CredentialsError") for name in names):
        return True
    return getattr(error, "status", None) in _REFUSED
