"""Where cores can be: directories, mounts, and what other collectors keep."""
