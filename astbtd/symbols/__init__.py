"""Debug files from debuginfod servers: what is wanted, the download, and the directory that gdb reads."""
