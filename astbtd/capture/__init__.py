"""What is asked of an Asterisk that runs: a snapshot of its threads and memory, an answer on its console."""
