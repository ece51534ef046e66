"""Test vectors: one JSON file per reason; `README.md` describes the format, `generate` makes the files anew."""
