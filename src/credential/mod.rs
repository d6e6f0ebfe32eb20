//! Room 3: at most one credential, and it leaves the request here. 400 when there are two.
