//! The policy enforcement point: the whole journey on one screen.
