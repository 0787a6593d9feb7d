"""MaxCompute on a laptop: REST, Tunnel and SQL over an embedded DuckDB. Knows no other part of the emulator."""
