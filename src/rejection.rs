//! Every refusal becomes one answer here: status, header fields, reason code, body.
