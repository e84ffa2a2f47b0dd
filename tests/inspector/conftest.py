from tests.e2e.conftest import chain, lone, stretched_once

__all__ = ["chain", "lone", "stretched_once"]
