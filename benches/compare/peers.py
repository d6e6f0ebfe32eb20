"""All proxies of the comparison, in the order of its tables, and where they run: other measures need only this module."""

from envoy import Envoy, EnvoyWithLog
from haproxy import Haproxy
from nginx import Nginx, Upstream
from peer import Peer, Place, Running, free_port
from portcullis import ManyRoutes, Portcullis, TwoWorkers


class Floor(Peer):
    name, title = "floor", "bare hyper + rustls"
    note = "client certificate required, then forwards: the floor of this stack."
    authenticates = False
    # Laid out by what it executes, as Portcullis is.
    program = "target/pgo/floor"

    def command(self, place, folder, port):
        tickets = "tickets" if place.tickets else "no-tickets"
        return [place.root / self.program, "proxy", f"127.0.0.1:{port}", f"127.0.0.1:{place.upstream}", place.folder / "c", tickets]


class Duties(Floor):
    name, title = "duties", "the same work, written bare"
    note = "the floor with one token check, one rule, the fields for the service, a deadline and a record, and nothing else: " \
        "no bounds, no reload, no metrics, no SPIFFE ID."
    authenticates = True

    def command(self, place, folder, port):
        return [*super().command(place, folder, port), "duties"]


class Services(Peer):
    """Echoes and introspection behind the proxies."""

    name = "services"

    def port(self, place):
        return place.services

    def command(self, place, folder, port):
        return [place.floor, "services", f"127.0.0.1:{port}", f"127.0.0.1:{place.calls}", place.folder / "c"]


VARIANTS = [ManyRoutes(), TwoWorkers()]
LINEUP = [Portcullis(), Nginx(), Haproxy(), Envoy(), EnvoyWithLog(), Floor(), Duties()]
BY_NAME = {peer.name: peer for peer in LINEUP + VARIANTS}
