import gc


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: looking through it for garbage, in each fork too, takes a twentieth of
    the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
