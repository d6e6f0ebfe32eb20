//! Everything on this machine: a development CA, an embedded identity provider, an echo upstream, a tour.
