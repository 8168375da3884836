//! What the controller tells the device.

/// Reading or writing; also the index of everything kept for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    Read = 0,
    Write = 1,
}

impl Kind {
    pub const BOTH: [Kind; 2] = [Kind::Read, Kind::Write];

    pub fn of(write: bool) -> Self {
        if write { Kind::Write } else { Kind::Read }
    }

    pub fn is_write(self) -> bool {
        self == Kind::Write
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    Activate = 0,
    Precharge = 1,
    PrechargeAll = 2,
    Read = 3,
    Write = 4,
    /// With auto-precharge.
    ReadClose = 5,
    WriteClose = 6,
    RefreshAll = 7,
    RefreshBank = 8,
}

impl Command {
    pub const COUNT: usize = 9;
    pub const ALL: [Command; Self::COUNT] = [
        Command::Activate,
        Command::Precharge,
        Command::PrechargeAll,
        Command::Read,
        Command::Write,
        Command::ReadClose,
        Command::WriteClose,
        Command::RefreshAll,
        Command::RefreshBank,
    ];

    /// As data sheets write it.
    pub fn name(self) -> &'static str {
        match self {
            Command::Activate => "ACT",
            Command::Precharge => "PRE",
            Command::PrechargeAll => "PREab",
            Command::Read => "RD",
            Command::Write => "WR",
            Command::ReadClose => "RDA",
            Command::WriteClose => "WRA",
            Command::RefreshAll => "REFab",
            Command::RefreshBank => "REFpb",
        }
    }

    pub fn is_column(self) -> bool {
        matches!(self, Command::Read | Command::Write | Command::ReadClose | Command::WriteClose)
    }
}
