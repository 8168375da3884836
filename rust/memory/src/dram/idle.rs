//! Why data buses moved nothing.

/// Idle ticks of the data buses by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// Nothing was asked of it.
    pub no_request: u64,
    /// A refresh was due or under way.
    pub refresh: u64,
    /// A row was closed and opened.
    pub row_miss: u64,
    /// Between reads and writes.
    pub turnaround: u64,
    /// Bank, bank group, activate window or command bus were not ready.
    pub bank_conflict: u64,
    /// Nothing was asked of it while other channels were busy.
    pub imbalance: u64,
}

impl Idle {
    pub fn total(&self) -> u64 {
        self.no_request + self.refresh + self.row_miss + self.turnaround + self.bank_conflict + self.imbalance
    }

    pub(super) fn map2(self, other: Idle, f: impl Fn(u64, u64) -> u64) -> Idle {
        Idle {
            no_request: f(self.no_request, other.no_request),
            refresh: f(self.refresh, other.refresh),
            row_miss: f(self.row_miss, other.row_miss),
            turnaround: f(self.turnaround, other.turnaround),
            bank_conflict: f(self.bank_conflict, other.bank_conflict),
            imbalance: f(self.imbalance, other.imbalance),
        }
    }

    pub fn plus(self, other: Idle) -> Idle {
        self.map2(other, |a, b| a + b)
    }

    pub(super) fn minus(self, other: Idle) -> Idle {
        self.map2(other, |a, b| a - b)
    }

    /// The last `ticks` of a gap, whose causes follow each other in the order of their charge.
    pub(super) fn last(self, ticks: u64) -> Idle {
        let mut rest = ticks;
        let mut take = |cause: u64| {
            let taken = cause.min(rest);
            rest -= taken;
            taken
        };
        let (bank_conflict, turnaround, row_miss) =
            (take(self.bank_conflict), take(self.turnaround), take(self.row_miss));
        let (refresh, no_request) = (take(self.refresh), take(self.no_request));
        Idle { no_request, refresh, row_miss, turnaround, bank_conflict, imbalance: 0 }
    }
}
