"""The proxies of the data plane's measures: those of benches/compare, and Portcullis with more to know."""

import material
import peers


class Revoked(peers.Portcullis):
    name, title = "portcullis-crl", f"Portcullis, {material.REVOKED:,} revoked"

    def command(self, place, folder, port):
        return changed(super().command(place, folder, port), folder, "[trust.bench]\n", f"[trust.bench]\ncrl = {{ files = [\"{place.folder}/c/revoked.pem\"] }}\n")


class Strangers(peers.Portcullis):
    """Each client is another: none of their chains is known."""

    name, title = "portcullis-strangers", "Portcullis, clients that never came before"


class Hosts(peers.Portcullis):
    name, title = "portcullis-hosts", f"Portcullis, {material.HOSTS:,} certificates"

    def command(self, place, folder, port):
        hosts = place.folder / "c/hosts"
        pairs = ", ".join(f"{{ chain = \"{hosts}/{number}.pem\", key = \"{hosts}/{number}.key\" }}" for number in range(material.HOSTS))
        return changed(super().command(place, folder, port), folder, "certificates = [", f"certificates = [{pairs}, ")


class Envoy(peers.Envoy):
    """Without its limit of fifteen seconds for an answer."""

    def command(self, place, folder, port):
        return changed(super().command(place, folder, port), folder, "route: { cluster: up }", "route: { cluster: up, timeout: 0s }", "envoy.yaml")


def changed(command, folder, before, after, name="portcullis.toml"):
    file = folder / name
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))
    return command


HANDSHAKES = [peers.Portcullis(), Strangers(), Revoked(), Hosts(), Envoy(), peers.Nginx()]
BODIES = [peers.Portcullis(), peers.Nginx(), Envoy()]
