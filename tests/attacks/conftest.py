"""The lab goes with whom it was made for."""

from tests.e2e.conftest import pytest_sessionfinish

__all__ = ["pytest_sessionfinish"]
