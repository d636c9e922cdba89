"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("astbtd", deadline=None)  # a loaded machine is slow, not wrong
settings.register_profile("fuzz", deadline=None, max_examples=50_000, print_blob=True)
settings.load_profile("astbtd")
