import pytest

# So that a comparison that fails in them shows both sides, as in a test.
pytest.register_assert_rewrite("tests.contracts.helpers", "tests.contracts.machine")
