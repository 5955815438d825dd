"""What is tried from outside: mutants, faults, strangers' files and inputs; see README.md."""
