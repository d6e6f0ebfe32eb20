//! Room 4: who asks, proved. Takes a `Presented`, gives an `Identified`, or 401; 503 when the proof cannot be had.
