//! What is asked of a device: requests in order, cut into bursts.

use super::command::Kind;
use super::config::Config;
use super::controller::Burst;
use super::error::DramError;
use super::map::AddressMap;

/// Addresses of a replay, in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Addresses<'a> {
    List(&'a [u64]),
    /// `count` requests, each `stride` above the one before.
    Pattern {
        start: u64,
        stride: u64,
        count: u64,
    },
}

/// One value for all requests, or one for each.
#[derive(Clone, Copy, Debug)]
pub enum Each<'a, T> {
    All(T),
    List(&'a [T]),
}

impl<T: Copy> Each<'_, T> {
    #[inline]
    fn at(&self, index: u64) -> T {
        match self {
            Each::All(value) => *value,
            Each::List(list) => list[index as usize],
        }
    }

    fn check(&self, what: &'static str, requests: u64) -> Result<(), DramError> {
        match self {
            Each::List(list) if list.len() as u64 != requests => {
                Err(DramError::Length { what, length: list.len() as u64, requests })
            }
            _ => Ok(()),
        }
    }
}

/// Requests in the order in which they are made.
#[derive(Clone, Copy, Debug)]
pub struct Traffic<'a> {
    pub addresses: Addresses<'a>,
    /// Of each request, at least 1.
    pub bytes: Each<'a, u64>,
    pub writes: Each<'a, bool>,
    /// When each request is made, picoseconds, ascending; without it, as soon as there is room.
    pub arrivals_ps: Option<&'a [u64]>,
}

impl Traffic<'_> {
    pub fn requests(&self) -> u64 {
        match self.addresses {
            Addresses::List(list) => list.len() as u64,
            Addresses::Pattern { count, .. } => count,
        }
    }

    pub(super) fn check(&self) -> Result<(), DramError> {
        let requests = self.requests();
        self.bytes.check("bytes", requests)?;
        self.writes.check("writes", requests)?;
        if let Some(list) = self.arrivals_ps {
            Each::List(list).check("arrivals", requests)?;
            if let Some(at) = list.windows(2).position(|pair| pair[0] > pair[1]) {
                let (before, request) = (at as u64, at as u64 + 1);
                let (before_ps, arrival_ps) = (list[at], list[at + 1]);
                return Err(DramError::Order { request, arrival_ps, before, before_ps });
            }
        }
        Ok(())
    }
}

/// A burst on its way to a channel.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub channel: u32,
    pub kind: Kind,
    pub burst: Burst,
}

/// Cuts requests into bursts, in order.
pub struct Cutter<'a> {
    traffic: Traffic<'a>,
    map: &'a AddressMap,
    device: &'a str,
    capacity_bytes: u64,
    burst_bytes: u64,
    tick_fs: u64,
    /// The bytes of each request if they fit into one burst, and above all addresses at which it lies in the device; or 0.
    small_bytes: u64,
    small_end: u64,
    requests: u64,
    /// The next request, and what of it is left.
    request: u64,
    address: u64,
    end: u64,
}

impl<'a> Cutter<'a> {
    pub fn new(traffic: &Traffic<'a>, config: &'a Config, map: &'a AddressMap) -> Result<Self, DramError> {
        traffic.check()?;
        let (capacity_bytes, burst_bytes) = (config.organisation.capacity_bytes(), config.organisation.burst_bytes());
        let small_bytes = match traffic.bytes {
            Each::All(bytes) if bytes <= burst_bytes => bytes,
            _ => 0,
        };
        Ok(Cutter {
            small_bytes,
            small_end: if small_bytes > 0 { (capacity_bytes + 1).saturating_sub(small_bytes) } else { 0 },
            traffic: *traffic,
            map,
            device: &config.name,
            capacity_bytes,
            burst_bytes,
            tick_fs: config.tick_fs(),
            requests: traffic.requests(),
            request: 0,
            address: 0,
            end: 0,
        })
    }

    /// The next request that has not been begun.
    pub fn request(&self) -> u64 {
        self.request
    }

    /// Requests not begun.
    pub fn left(&self) -> u64 {
        self.requests - self.request
    }

    /// Whether no request has been handed out in part.
    pub fn is_between(&self) -> bool {
        self.address == self.end
    }

    /// Leaves out `requests` requests; none may be half handed out.
    pub fn pass(&mut self, requests: u64) {
        self.request += requests;
    }

    /// Whether all has been handed out.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.request == self.requests
    }

    /// Whether all requests read or all write.
    pub fn single_kind(&self) -> bool {
        matches!(self.traffic.writes, Each::All(_))
    }

    /// Of the next request, which must exist, or of all.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.traffic.writes {
            Each::All(write) => Kind::of(write),
            Each::List(list) => Kind::of(list.get(self.request as usize).copied().unwrap_or(false)),
        }
    }

    pub fn is_timed(&self) -> bool {
        self.traffic.arrivals_ps.is_some()
    }

    /// Tick at which the next request is made, if requests have times.
    pub fn arrival(&self) -> Option<u64> {
        let list = self.traffic.arrivals_ps?;
        let fs = u128::from(*list.get(self.request as usize)?) * 1000;
        Some(fs.div_ceil(u128::from(self.tick_fs)).min(u128::from(u64::MAX / 4)) as u64)
    }

    /// Opens the next request, which must exist.
    #[inline(always)]
    fn open(&mut self) -> Result<(), DramError> {
        let request = self.request;
        let address = match self.traffic.addresses {
            Addresses::List(list) => list.get(request as usize).copied().unwrap_or(u64::MAX),
            Addresses::Pattern { start, stride, .. } => start.saturating_add(stride.saturating_mul(request)),
        };
        let bytes = self.traffic.bytes.at(request);
        let end = address.saturating_add(bytes);
        if bytes == 0 || end > self.capacity_bytes {
            return Err(self.refuse(request, address, bytes));
        }
        (self.address, self.end) = (address, end);
        Ok(())
    }

    #[cold]
    fn refuse(&self, request: u64, address: u64, bytes: u64) -> DramError {
        if bytes == 0 {
            return DramError::Empty { request, address };
        }
        let end = u128::from(address) + u128::from(bytes);
        let (device, capacity_bytes) = (self.device.to_owned(), self.capacity_bytes);
        DramError::Outside { device, request, address, end, capacity_bytes }
    }

    /// The next burst if it is a whole request that is known to lie in the device; its `since` is left at 0.
    #[inline(always)]
    pub fn cut_small(&mut self) -> Option<Burst> {
        let id = self.request;
        let address = match self.traffic.addresses {
            Addresses::List(list) => *list.get(id as usize)?,
            Addresses::Pattern { start, stride, .. } => start.saturating_add(stride.saturating_mul(id)),
        };
        let fits = (address & (self.burst_bytes - 1)) + self.small_bytes <= self.burst_bytes;
        if address >= self.small_end || !fits || id == self.requests || self.address != self.end {
            return None;
        }
        self.request = id + 1;
        let (_, local) = self.map.channel(address);
        let (bank, row) = self.map.bank_row(local);
        Some(Burst { id, address: local, row, bank: bank as u8, bytes: self.small_bytes as u16, since: 0 })
    }

    /// The next burst; its `since` is left at 0.
    #[inline(always)]
    pub fn cut(&mut self) -> Result<Option<Piece>, DramError> {
        if self.address == self.end {
            if self.request == self.requests {
                return Ok(None);
            }
            self.open()?;
        }
        let id = self.request;
        let kind = self.kind();
        let address = self.address;
        let next = ((address | (self.burst_bytes - 1)) + 1).min(self.end);
        self.address = next;
        self.request += u64::from(next == self.end);
        let (channel, local) = self.map.channel(address);
        let (bank, row) = self.map.bank_row(local);
        let bytes = (next - address) as u16;
        let burst = Burst { id, address: local, row, bank: bank as u8, bytes, since: 0 };
        Ok(Some(Piece { channel, kind, burst }))
    }
}
