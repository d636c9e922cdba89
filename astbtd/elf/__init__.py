"""ELF files and cores: headers, notes, symbols, memory, registers."""
