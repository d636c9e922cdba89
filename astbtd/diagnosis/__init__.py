"""Pure functions that turn the text of a backtrace into a verdict, a signature and a report."""
