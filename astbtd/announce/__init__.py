"""How people learn of a crash: the journal and the service's status."""
