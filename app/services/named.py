"""Clients and plans as operators name them, looked up inside the transaction that works on them."""

from app.domain.api_client import ApiClient
from app.domain.errors import DomainError, FieldError, NotFound
from app.domain.plan import Plan
from app.ports import UnitOfWork


async def client_named(unit: UnitOfWork, name: str) -> ApiClient:
    """Return a client. Raises NotFound for a name that none has."""
    client = await unit.api_clients.by_name(name)
    if client is None:
        raise NotFound("client")
    return client


async def plan_named(unit: UnitOfWork, name: str) -> Plan:
    """Return a plan to give to a client in this very transaction. Raises DomainError `invalid_request` for none."""
    plan = await unit.plans.held(name)
    if plan is None:
        detail = "names no plan"
        raise DomainError("invalid_request", detail, errors=[FieldError("/plan", detail, "没有此套餐")])
    return plan
