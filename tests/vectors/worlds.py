"""The states of the world that vectors are cut from: trust documents as files, and the credentials that go with them.

Each world is one installation, seeded and frozen; its bundle is made last, when everything it holds has happened.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from elicense.status_list import Status
from tests.simulator import NOW, Installation
from tests.vectors.seeded import SeededSigner, seeded_installation

DAY = timedelta(days=1)
VALID, REVOKED, SUSPENDED, SUPERSEDED = 5, 6, 7, 8
"""Entries of the status list of the worlds, by what it says of them."""

LISTED = {REVOKED: Status.INVALID, SUSPENDED: Status.SUSPENDED, SUPERSEDED: Status.SUPERSEDED}


@dataclass(slots=True)
class World:
    """An installation, its bundle as a file of a name, and what was issued before the bundle was made."""

    name: str
    installation: Installation
    tokens: dict[str, str] = field(default_factory=dict)
    stapled: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Name the bundle's file as vectors do."""
        return f"trust/{self.name}.json"

    def log(self, name: str, token: str) -> None:
        """Log a credential under a name; its proof is made when the log is complete."""
        self.tokens[name] = token
        self.installation.prove(token)

    def prove(self) -> None:
        """Staple to every logged credential its proof in the log as it stands now."""
        for name, token in self.tokens.items():
            proof = self.installation.prove(token)
            self.stapled[name] = {
                "fmt": 1,
                "env": self.installation.env,
                "credential": token,
                "proof": proof.to_json(),
            }

    def index_of(self, name: str) -> dict[str, Any]:
        """Say where a credential stands in the log, as registers in vectors do."""
        proof = self.stapled[name]["proof"]
        return {"origin": proof["origin"], "index": proof["index"]}


@cache
def current() -> World:
    """Nothing unusual: a list read at this moment that names one license of each state."""
    world = World("current", seeded_installation())
    for index, status in LISTED.items():
        world.installation.statuses.set(index, status)
    world.log("plain", world.installation.credential(status_index=VALID))
    world.prove()
    return world


@cache
def aged() -> World:
    """The newest status list was read three days ago."""
    world = World("aged", seeded_installation())
    world.installation.status_read_at = NOW - 3 * DAY
    world.installation.status_expires_at = NOW + 4 * DAY
    world.tokens["plain"] = world.installation.credential(status_index=VALID)
    return world


@cache
def archived() -> World:
    """A license that was in force when the list of three days ago was read, and is revoked in the newest one."""
    world = World("archived", seeded_installation())
    world.installation.status_read_at = NOW - 3 * DAY
    world.installation.status_expires_at = NOW + 4 * DAY
    world.tokens["plain"] = world.installation.credential(status_index=VALID)
    world.installation.publish_next(NOW, **{f"index_{VALID}": Status.INVALID})
    return world


@cache
def compromised() -> World:
    """The authority's key was stolen: what its log holds up to then stays good, what came later does not."""
    world = World("compromised", seeded_installation())
    installation = world.installation
    world.log("before", installation.credential(status_index=VALID))
    stolen_at = installation.log.checkpoint()
    world.log("after", installation.credential(status_index=VALID + 100, signed_at=NOW - 9 * DAY))
    installation.compromise(installation.credential_signer, stolen_at)
    successor = SeededSigner("authority, second key")
    authority = installation.authorities[0]
    installation.change_authority(keys=(*authority.keys, _listed(successor)))
    world.prove()
    return world


def _listed(signer: SeededSigner) -> Any:
    made = seeded_installation().make_authority("", "", "", signer)
    return made.keys[0]


WORLDS = (current, aged, archived, compromised)
