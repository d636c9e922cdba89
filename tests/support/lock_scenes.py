"""The scenes of tests/programs/locks.c in which threads wait for each other."""

CYCLES = {
    "two-mutexes": {"alpha_then_beta": "beta", "beta_then_alpha": "alpha"},
    "three-mutexes": {"alpha_then_beta": "beta", "beta_then_gamma": "gamma_lock", "gamma_then_alpha": "alpha"},
    "mutex-and-rwlock": {"alpha_then_directory": "directory", "directory_then_alpha": "alpha"},
}
"""The threads of each scene in the order in which they wait for each other, and the lock that each waits for."""
