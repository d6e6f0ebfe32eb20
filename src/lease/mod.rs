//! What an open exchange rests on: it is closed when its grant ends.
