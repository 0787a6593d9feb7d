"""The commands of `python -m local_emulator`, a file each."""
