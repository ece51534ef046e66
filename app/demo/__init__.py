"""The demonstration: an invented province, seeded through the services and served from one process."""
