"""What all tests share."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: what is made anew in each process must not be part of a test's name."""
    return argname if isinstance(val, bytes) else None
