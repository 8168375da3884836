//! What a channel did in a stream of reads, kept so that it need not be worked out again.
//!
//! While more reads of one even stream wait in front of a controller than it takes on the way, nothing that arrives can
//! change what it does: its own state decides, without the writes that wait until the reads are through. Such a stretch
//! is a *course*. States are compared as seen from where and when the course begins; the same state has the same course,
//! which is then walked at once: answers, counts and the state at its end are those of the first time, moved to now. What
//! cannot wait for the end of a course, a write above all, makes the channel go back to its beginning and work out the
//! part that has passed.

use super::controller::frfcfs::Frfcfs;
use super::controller::issue::Device;
use super::controller::{Origin, Schedule};
use super::gain::Gain;
use super::stretch::hash;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Bursts taken in a course, at most and at least; between them, the power of two that moves in an eighth of the time
/// between two refreshes. To look for a shorter one takes as long as to work it out.
const LONGEST: u64 = 512;
const SHORTEST: u64 = 128;
/// Courses begin at multiples of their length, so that few are different; or as many bursts later, since a controller may
/// take some at once.
const LATE: u64 = 8;
/// Courses kept at most; then all are forgotten. And states that were met once.
const KEPT: usize = 4096;
const MET: usize = 1 << 16;

/// Where the front of the line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Of the flight whose burst comes next.
    pub number: u64,
    /// Of that burst, within the channel.
    pub address: u64,
    /// Bursts that it still has in the line, and that each flight behind it has.
    pub left: u64,
    pub each: u64,
    /// Bursts of all of them.
    pub bursts: u64,
}

/// A flight at the end of a course: its number, bursts still to come, and the tick of its latest burst, if one is done.
pub type Left = (u64, u64, Option<u64>);

/// Which course came before, and what beside it decides that another follows: the length of that, and its line as seen from
/// where the first began.
type Passage = (u32, [u64; 5]);

/// A stretch that was worked out once. Numbers and ticks count from where it began.
#[derive(Debug)]
pub struct Course {
    key: Vec<u64>,
    begin: Origin,
    pub ticks: u64,
    /// Bursts taken from the line.
    pub taken: u64,
    /// Flights that set out of the line in the course, wholly.
    pub flights: u64,
    /// The state at the end, without books and flights.
    end: Box<Frfcfs>,
    /// What was counted on the way, and the writes that waited for each bus.
    books: Gain,
    writes: [u32; 4],
    pub left: Vec<Left>,
    /// Number and tick of each flight that was done, in order of time.
    pub answers: Vec<(u64, u64)>,
}

/// A course under way.
#[derive(Clone, Debug)]
pub struct Walk {
    pub course: Arc<Course>,
    /// Its number.
    id: u32,
    pub begin: Origin,
    /// Answers handed out.
    pub told: usize,
}

impl Walk {
    pub fn end_tick(&self) -> u64 {
        self.begin.tick + self.course.ticks
    }

    /// The next answer: number and tick.
    pub fn next_answer(&self) -> Option<(u64, u64)> {
        let &(number, tick) = self.course.answers.get(self.told)?;
        Some((self.begin.id.wrapping_add(number), self.begin.tick + tick))
    }

    /// How far it lies from where the course was worked out.
    fn shift(&self) -> Origin {
        self.begin.since(&self.course.begin)
    }

    /// Books the whole course.
    fn book(&self, controller: &mut Frfcfs) {
        controller.device_mut().statistics.repeat_gain(&self.course.books, 1);
    }

    /// The controller at the end of the course, which has been booked, from what it was at some beginning.
    fn arrive(&self, from: &mut Frfcfs) {
        let by = self.shift();
        let mut end = Frfcfs::clone(&self.course.end);
        end.shift(&by);
        let mut statistics = std::mem::take(&mut from.device_mut().statistics);
        statistics.resume(&self.course.books, self.end_tick());
        statistics.exchange(self.course.writes, from.writes_waiting());
        end.device_mut().statistics = statistics;
        end.device_mut().flights = from.device_mut().flights.take();
        end.adopt_calendar(from, 0);
        end.adopt_writes(from);
        *from = end;
    }
}

/// What is known: courses by number.
#[derive(Debug, Default)]
struct Courses {
    all: Vec<Arc<Course>>,
    /// By hash of their keys.
    keyed: HashMap<u64, Vec<u32>>,
    /// Hashes of states that were met. Most never come back, and a course takes a whole controller to keep: so only what
    /// comes again is worked out.
    met: HashSet<u64>,
    /// Which course follows which, given its length and the line: everything else is known from the first.
    next: HashMap<Passage, u32>,
}

impl Courses {
    /// The course of this number, walked from `begin`. Another channel may have met it later than that: then it cannot be
    /// moved here.
    fn walk(&self, id: u32, begin: Origin) -> Option<Walk> {
        let course = self.all.get(id as usize)?;
        let later = course.begin.tick > begin.tick || course.begin.id > begin.id;
        (!later).then(|| Walk { course: Arc::clone(course), id, begin, told: 0 })
    }

    fn find(&self, hash: u64, key: &[u64], begin: Origin) -> Option<Walk> {
        let alike = self.keyed.get(&hash)?;
        alike.iter().filter_map(|&id| self.walk(id, begin)).find(|walk| walk.course.key == key)
    }

    /// Whether a state of this hash was met before.
    fn meet(&mut self, hash: u64) -> bool {
        if self.met.len() == MET {
            self.met.clear();
        }
        !self.met.insert(hash)
    }

    fn keep(&mut self, course: Course) -> u32 {
        if self.all.len() == KEPT {
            *self = Courses::default();
        }
        let id = self.all.len() as u32;
        self.keyed.entry(hash(&course.key)).or_default().push(id);
        self.all.push(Arc::new(course));
        id
    }
}

/// A course being worked out for the first time.
#[derive(Clone, Debug)]
struct Record {
    key: Vec<u64>,
    begin: Origin,
    taken: u64,
    before: Gain,
    /// No refresh was nearer than this.
    reach: u64,
    /// How often reads and writes had taken turns.
    turned: u64,
    /// The course that ended where this began, and what else decides that this follows.
    after: Option<Passage>,
}

/// The courses of a channel, and where it is on them.
#[derive(Clone, Debug)]
pub struct Recall {
    /// Channels that began as one share what they know.
    courses: Arc<Mutex<Courses>>,
    record: Option<Record>,
    pub walk: Option<Walk>,
    /// The course at whose end the controller should stand; its state is made only when somebody needs it. There is one
    /// only while another course is under way.
    behind: Option<Walk>,
    /// Bursts taken from the line at which it is worth a look, and those taken on courses so far.
    pub look_at: u64,
    pub taken: u64,
    /// Bursts taken in a course, at most.
    longest: u64,
    /// Reads that the controller holds.
    queue: u64,
    /// What so many bursts take, and half as much again: a stream takes hardly longer than its data.
    ticks: (u64, u64),
    /// Bursts after which addresses lie the same, as many rows up.
    span: (u64, u32),
    /// Of time, in what is encoded of the books.
    margin: u64,
}

impl Recall {
    /// `None` for an address map that never lies the same. `queue`: reads that the controller holds.
    pub fn new(span: Option<(u64, u32)>, controller: &Frfcfs, queue: u64) -> Option<Self> {
        let Device { banks, refresher, .. } = controller.device();
        let (rules, buses) = (&banks.rules, banks.layout.pseudo_channels as u64);
        let interval = refresher.interval();
        let length = (interval / 8).saturating_mul(buses) / rules.burst_ticks.max(1);
        let length = 1 << length.clamp(SHORTEST, LONGEST).ilog2();
        Some(Recall {
            longest: length,
            queue,
            ticks: (rules.burst_ticks * 3, buses * 2),
            courses: Arc::default(),
            record: None,
            walk: None,
            behind: None,
            look_at: SHORTEST,
            taken: 0,
            span: span?,
            margin: rules.data_start.into_iter().max().unwrap_or(0) + 1,
        })
    }

    /// Whether a course is under way or being worked out.
    pub fn is_engaged(&self) -> bool {
        self.walk.is_some() || self.record.is_some()
    }

    /// Gives up what is being worked out.
    pub fn drop_record(&mut self, controller: &mut Frfcfs) {
        self.record = None;
        if let Some(flights) = &mut controller.device_mut().flights {
            flights.log = None;
        }
    }

    /// Looks again after a while.
    pub fn wait(&mut self, taken: u64) {
        self.look_at = taken + SHORTEST;
    }

    /// Bursts of a line that count.
    pub fn most(&self) -> u64 {
        self.longest + self.queue + LATE
    }

    /// The longest course that the line has room for, where so many bursts more may be taken.
    fn length(&self, line: &Line, beyond: u64) -> Option<u64> {
        let room = line.bursts.checked_sub(beyond)?;
        let mut length = self.longest;
        while length > room || line.address % length > LATE {
            length /= 2;
            if length < SHORTEST {
                return None;
            }
        }
        Some(length)
    }

    /// A refresh that is as far away has no part in a course of `length` that takes less.
    fn reach(&self, length: u64) -> u64 {
        length * self.ticks.0 / self.ticks.1
    }

    /// The course under way has been walked to its end.
    pub fn arrive(&mut self, walk: Walk, controller: &mut Frfcfs) {
        walk.book(controller);
        self.taken += walk.course.taken;
        self.behind = Some(walk);
    }

    /// Makes the controller's state what it should be.
    #[inline(never)]
    pub fn catch_up(&mut self, controller: &mut Frfcfs) {
        if let Some(behind) = self.behind.take() {
            behind.arrive(controller);
        }
    }

    /// At `tick`, before which all was handled, `taken` bursts have left the line: ends what is being worked out, and
    /// begins a course where the line holds enough for one: one that is known, or one to be known.
    pub fn look(&mut self, controller: &mut Frfcfs, tick: u64, taken: u64, line: Option<Line>) {
        if let Some(record) = self.record.take()
            && let Some(line) = line
        {
            self.keep(record, controller, tick, taken, line);
        }
        self.drop_record(controller);
        self.wait(taken);
        if let Some(line) = line {
            self.begin(controller, tick, taken, line);
        }
        if self.walk.is_none() {
            self.catch_up(controller);
        }
    }

    fn begin(&mut self, controller: &mut Frfcfs, tick: u64, taken: u64, mut line: Line) {
        self.look_at -= line.address % SHORTEST;
        // It may end late: when the queue has been filled, and all commands of a tick have gone out.
        let beyond = controller.room_for_reads() + LATE;
        let Some(mut length) = self.length(&line, beyond) else { return };
        // Hardly two courses begin at the same distance from a refresh, so they end before the next.
        let refresh = controller.device().refresher.next().saturating_sub(tick);
        while refresh < self.reach(length) {
            length /= 2;
            if length < SHORTEST {
                return;
            }
        }
        let reads = line.address..line.address + length + beyond;
        if line.left >= length + beyond {
            // Pieces behind it have no part in the course.
            line.each = 0;
        }
        if !controller.parks_writes() || controller.awaits_write(&reads) {
            return;
        }
        self.look_at = taken + length - line.address % length;
        let spans = line.address / self.span.0;
        let row = (spans as u32).wrapping_mul(self.span.1);
        let begin = Origin { tick, row, address: spans * self.span.0, id: line.number };
        let courses = Arc::clone(&self.courses);
        let mut courses = courses.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.behind.as_ref().map(|behind| {
            // The line may go on elsewhere, or in other pieces.
            let address = line.address.wrapping_sub(behind.begin.address);
            let number = line.number.wrapping_sub(behind.begin.id);
            (behind.id, [length, address, number, line.left, line.each])
        });
        let next = after.as_ref().and_then(|after| courses.next.get(after));
        self.walk = next.and_then(|&id| courses.walk(id, begin));
        if self.walk.is_some() {
            return;
        }
        self.catch_up(controller);
        let key = self.key(controller, &begin, line, length);
        let hash = hash(&key);
        self.walk = courses.find(hash, &key, begin);
        if let Some(walk) = &self.walk {
            if let Some(after) = after {
                courses.next.insert(after, walk.id);
            }
            return;
        }
        if !courses.meet(hash) {
            return;
        }
        let turned = controller.turned();
        let device = controller.device_mut();
        let before = device.statistics.gain(tick);
        if let Some(flights) = &mut device.flights {
            flights.log = Some(Vec::new());
        }
        let reach = self.reach(length);
        self.record = Some(Record { key, begin, taken, before, reach, turned, after });
    }

    /// All that decides what comes.
    fn key(&self, controller: &Frfcfs, begin: &Origin, line: Line, length: u64) -> Vec<u64> {
        let mut key = Vec::with_capacity(1024);
        controller.encode_reads(begin, &mut key);
        controller.device().statistics.encode(begin.tick, self.margin, &mut key);
        // A bus that has writes is never without requests.
        key.extend(controller.writes_waiting().map(|writes| u64::from(writes > 0)));
        for (number, left, done) in left_before(controller, line.number + 1, begin) {
            key.extend([number, left, done.map_or(u64::MAX, |tick| tick)]);
        }
        key.extend([line.address - begin.address, line.left, line.each, length]);
        key
    }

    #[inline(never)]
    fn keep(&mut self, record: Record, controller: &mut Frfcfs, tick: u64, taken: u64, line: Line) {
        let ticks = tick - record.begin.tick;
        let log = controller.device().flights.as_ref().and_then(|flights| flights.log.as_ref());
        let near = ticks >= record.reach;
        let Some(log) = log.filter(|_| !near && controller.turned() == record.turned) else { return };
        let begin = record.begin;
        let mut answers: Vec<_> =
            log.iter().map(|&(number, done)| (number.wrapping_sub(begin.id), done - begin.tick)).collect();
        answers.sort_by_key(|&(number, done)| (done, number));
        let left = left_before(controller, line.number + 1, &begin).collect();
        // Neither is part of the state.
        let device = controller.device_mut();
        let (statistics, flights) = (std::mem::take(&mut device.statistics), device.flights.take());
        let end = Box::new(controller.clone());
        let books = statistics.gain(tick).since(&record.before);
        let device = controller.device_mut();
        (device.statistics, device.flights) = (statistics, flights);
        let course = Course {
            begin,
            ticks,
            taken: taken - record.taken,
            flights: line.number - begin.id,
            left,
            answers,
            end,
            books,
            writes: controller.writes_waiting(),
            key: record.key,
        };
        let mut courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = courses.all.len();
        let id = courses.keep(course);
        if let Some(after) = record.after.filter(|_| id as usize == known) {
            courses.next.insert(after, id);
        }
    }
}

/// Reads under way before number `end`, as seen from `begin`.
fn left_before(controller: &Frfcfs, end: u64, begin: &Origin) -> impl Iterator<Item = Left> {
    let reads = controller.device().flights.iter().flat_map(move |flights| flights.reads_before(end));
    reads.map(move |(number, flight)| {
        let done = (flight.answer.tick > 0).then(|| flight.answer.tick.wrapping_sub(begin.tick));
        (number.wrapping_sub(begin.id), flight.left, done)
    })
}
