//! Puts the rooms together: loads, binds, starts workers, reloads, drains.
