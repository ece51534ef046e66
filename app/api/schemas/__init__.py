"""Shapes of requests (strict pydantic models) and of answers (models for the OpenAPI document and its tests)."""
