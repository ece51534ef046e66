"""The one collection that all tables of the register stand in."""

from sqlalchemy import MetaData

metadata = MetaData()
