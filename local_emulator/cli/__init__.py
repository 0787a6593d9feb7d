"""The commands of `python -m local_emulator`, one file for each."""
