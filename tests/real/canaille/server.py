"""Canaille as the tests of Portcullis need it: discovery, keys, signed and opaque tokens, introspection, revocation.

Speaks plain HTTP on a free port of loopback and keeps nothing. Prints one line of JSON with its issuer when it listens.
"""

import json
import logging
import socket

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)
listener = socket.create_server(("127.0.0.1", 0))
address = f"127.0.0.1:{listener.getsockname()[1]}"
issuer = f"http://{address}"
app = create_app(
    {
        "SECRET_KEY": "of the tests",
        "SERVER_NAME": address,
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE_OIDC": {},
        "CANAILLE": {"DATABASE": "memory"},
    }
)
with app.app_context(), Backend.instance.session():
    # It tells of a token nobody but those whom the token is for: the client that gets it is the one that asks about it.
    machine = models.Client(
        client_id="machine",
        client_secret="machine-secret-0123456789abcdef",
        client_name="machine",
        contacts=["machine@corp.example"],
        grant_types=["client_credentials", "password"],
        response_types=[],
        redirect_uris=[f"{issuer}/none"],
        scope=["openid", "profile"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(machine)
    machine.audience = [machine]
    Backend.instance.save(machine)
    alice = models.User(
        user_name="alice",
        formatted_name="Alice",
        family_name="A",
        emails=["alice@corp.example"],
        password="correct-horse",
    )
    Backend.instance.save(alice)

server = make_server("127.0.0.1", 0, app, threaded=True, fd=listener.fileno())
print(json.dumps({"listening": True, "issuer": issuer}), flush=True)
server.serve_forever()
