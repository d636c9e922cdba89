"""Will the next crash of Asterisk give a usable backtrace? Facts are gathered first; what they mean is pure."""
