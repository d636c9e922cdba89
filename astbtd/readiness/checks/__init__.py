"""The checks, one module for each subject. They are pure functions of the facts."""
