"""What `elicense serve` is measured against: one FastAPI endpoint that returns a dict, served the same way."""

import sys

import uvicorn
from fastapi import FastAPI

from app.cli.processes import server_options
from app.settings import load_settings

app = FastAPI()


@app.get("/bare")
async def bare() -> dict[str, object]:
    """Answer nothing in particular."""
    return {"verdict": "valid", "reason": "ok"}


if __name__ == "__main__":
    settings = load_settings(
        environ={}, default_environment="development", port=int(sys.argv[1]), log_level="warning"
    )
    uvicorn.run("tests.bench.bare:app", **server_options(settings))
