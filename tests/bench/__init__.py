"""What things cost: run by hand, printed, asserted nowhere."""
