//! A queue per bank.
