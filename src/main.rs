//! The `portcullis` command. Everything is in the library.

fn main() {}
