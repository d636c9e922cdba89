"""Checks whether the next crash of Asterisk will give a usable backtrace: pure checks of facts gathered before."""
