"""What a run says about itself: figures with one definition each (docs/metrics.md), and a ledger that must close."""
