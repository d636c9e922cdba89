"""The report of a crash or capture as one HTML page. Imported by `show --html` and `bundle` only."""
