//! Room 6: forwards an `Allowed`, and nothing else, to the service behind.
