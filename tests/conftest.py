"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("astbtd", deadline=None)  # a loaded machine is slow, not wrong
settings.load_profile("astbtd")
