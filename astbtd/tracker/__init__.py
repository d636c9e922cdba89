"""An issue in the tracker of Asterisk: whether a crash belongs there, and the address of a form that is filled in."""
