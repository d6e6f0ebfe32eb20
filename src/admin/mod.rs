//! Probes, metrics and the control socket: never on a public listener.
