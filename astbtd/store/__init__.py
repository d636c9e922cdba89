"""The store: records, cores, retention, redaction, bundles."""
