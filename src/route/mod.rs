//! Room 2: host, path and method name a route, or 404, 405, 421.
