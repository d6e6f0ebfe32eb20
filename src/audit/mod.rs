//! One final record of every request.
