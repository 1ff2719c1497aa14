//! Which windows a round takes: live ones first, then what is due again, then the oldest.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Waiting};
use super::due::{Due, Look};
use super::held::Held;
use super::live::Live;
use super::membership::Membership;
use super::search::Search;
use super::windows::{floor, window_at};
use crate::backend;
use crate::error::{Error, Failure};
use crate::settings::Settings;
use crate::store::{self, DeviceWindow, DueDevice, Source};
use crate::track::Micros;

const MINUTE: Micros = 60_000_000;
/// So much of one device's time is worth taking together: with what comes after it, the slot before that is matched once
/// more.
const TOGETHER: Micros = 180 * MINUTE;
/// Devices that are looked at for what is due; other workers may have most of them.
const MANY_DEVICES: usize = 200;
/// So long old points of devices that cannot be asked about are passed by before others are worked off.
const PASSING_BY: Duration = Duration::from_secs(1);

/// Windows with the first and last new point of each, where there are new points.
pub type Wanted = BTreeMap<DeviceWindow, Option<(Micros, Micros)>>;

/// Devices that a run leaves alone, for somebody holds a row that it would have to write.
pub type PassedOver = BTreeSet<String>;

/// How many windows a round takes, about.
#[derive(Clone, Copy)]
pub struct Enough {
    pub windows: usize,
    pub of_a_device: usize,
}

/// Chooses windows of devices that are ours from here on; says, too, whether not everything has been looked through.
pub fn choose(
    settings: &Settings,
    sources: &[Source],
    enough: Enough,
    search: &mut Search,
    passed: &PassedOver,
    membership: &mut Membership,
) -> Result<(Wanted, bool), Error> {
    let now = backend::now();
    let length = settings.recipe.window;
    let (since, until) = (now - settings.look_back, now + store::CLOCK_AHEAD);
    // The window before the present one is live too: it settles only now.
    let live_since = floor(now - length.max(5 * MINUTE), length).max(since);

    let mut choice = Choice {
        sources,
        length,
        wanted: Wanted::new(),
        counts: HashMap::new(),
        held: Held::read()?,
        passed,
        membership,
        enough,
        expected: together(length),
    };
    choice.add_live(&mut search.live, (live_since, until))?;
    choice.add_due(&mut search.due, false)?;
    let mut goes_on = choice.add_backlog(&mut search.backlog, (since, live_since))?;
    if choice.left() > 0 {
        goes_on |= advance_jobs(choice.left(), &mut search.jobs_fail);
        choice.add_due(&mut search.due, true)?;
    }
    Ok((choice.wanted, goes_on))
}

/// Lets jobs put windows on record; says whether they have more to look through. What is in their way is no business of
/// others, and told once a run.
fn advance_jobs(most: usize, fail: &mut bool) -> bool {
    if *fail {
        return false;
    }
    let advanced = backend::attempt(|| store::advance_jobs(most));
    let why = match advanced.map_err(Failure::from) {
        Ok(more) => return more,
        Err(why) => why,
    };
    if !why.is_lock() {
        *fail = true;
        why.warn(
            "could not go on with backfills and re-matches",
            "Let what is in their way go, or end them: see get_jobs() and stop_job().",
        );
    }
    false
}

/// Windows of one device that are worth taking together.
fn together(length: Micros) -> usize {
    (TOGETHER / length).max(1) as usize
}

/// A choice in the making.
struct Choice<'run> {
    sources: &'run [Source],
    /// Of a window.
    length: Micros,
    wanted: Wanted,
    /// How many are wanted of each device.
    counts: HashMap<String, usize>,
    held: Held,
    passed: &'run PassedOver,
    membership: &'run mut Membership,
    enough: Enough,
    /// Windows that a device with old points has, as far as some were looked at.
    expected: usize,
}

impl Choice<'_> {
    fn left(&self) -> usize {
        self.enough.windows.saturating_sub(self.wanted.len())
    }

    /// The fewer windows devices had, the more of them are looked at in one go: not too many, for the next may have more.
    fn expect(&mut self, found: usize) {
        let most = together(self.length);
        let least = self.expected.div_ceil(2).max(most.div_ceil(6));
        self.expected = found.clamp(least, most);
    }

    /// Makes devices ours that are not passed over; those that somebody else has are left out, and those whose servers
    /// are away.
    fn lock<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<BTreeSet<String>, Error> {
        let free = |name: &&String| !self.passed.contains(*name) && !self.membership.is_away(name);
        let names: Vec<String> = names.into_iter().filter(free).cloned().collect();
        let mut locked = store::lock_devices(&names, names.len())?;
        self.membership.look_up(self.sources, &locked)?;
        locked.retain(|name| !self.membership.is_away(name));
        Ok(locked.into_iter().collect())
    }

    /// Adds live windows until there are enough.
    fn add_live(&mut self, live: &mut Live, span: (Micros, Micros)) -> Result<(), Error> {
        let mut may_look_again = true;
        while self.left() > 0 {
            let found = live.next_windows(self.sources, span, self.length, self.left())?;
            if found.is_empty() {
                if may_look_again && live.look_again(self.sources, span, self.length)? {
                    may_look_again = false;
                    continue;
                }
                break;
            }
            let names: BTreeSet<&String> = found.iter().map(|(window, _)| &window.device).collect();
            let locked = self.lock(names.iter().copied())?;
            let others = names.into_iter().filter(|name| !locked.contains(*name));
            live.pass_by(others.cloned());
            if locked.is_empty() {
                continue;
            }
            if live.is_overtaken()? {
                // All of theirs: what was passed by while another worker had them, that one may have put off.
                let devices: Vec<Waiting> = locked.into_iter().map(|d| (d, span.0)).collect();
                self.add_windows(&devices, span.1)?;
                continue;
            }
            for (window, new) in found {
                if locked.contains(&window.device) && !self.held.windows.contains(&window) {
                    self.add(window, Some(new));
                }
            }
        }
        Ok(())
    }

    /// Adds windows that have unprocessed points until a moment, device after device until there are enough. Returns the
    /// devices that windows were added of.
    fn add_waiting(
        &mut self,
        mut devices: &[Waiting],
        until: Micros,
    ) -> Result<Vec<Waiting>, Error> {
        let mut added = Vec::new();
        while self.left() > 0 && !devices.is_empty() {
            let next;
            (next, devices) =
                devices.split_at(devices.len().min(self.left().div_ceil(self.expected)));
            let before = self.wanted.len();
            let locked = self.lock(next.iter().map(|(name, _)| name))?;
            let ours: Vec<Waiting> = next
                .iter()
                .filter(|(name, _)| locked.contains(name))
                .cloned()
                .collect();
            if !ours.is_empty() {
                let with_windows = self.add_windows(&ours, until)?;
                added.extend(ours.into_iter().filter(|d| with_windows.contains(&d.0)));
                let found = (self.wanted.len() - before).div_ceil(with_windows.len().max(1));
                self.expect(found);
            }
        }
        Ok(added)
    }

    /// Adds windows with old points. Their devices may have more, which is the next round's. Says whether there may be
    /// other devices.
    fn add_backlog(
        &mut self,
        backlog: &mut Backlog,
        span: (Micros, Micros),
    ) -> Result<bool, Error> {
        let begin = Instant::now();
        let mut taken = Vec::new();
        let mut goes_on = false;
        while self.left() > 0 && !goes_on {
            let enough = self.left().div_ceil(self.expected);
            let devices = backlog.next_devices(self.sources, span, enough)?;
            if devices.is_empty() {
                break;
            }
            taken.extend(self.add_waiting(&devices, span.1)?);
            goes_on = self.membership.is_any_away() && begin.elapsed() > PASSING_BY;
        }
        backlog.put_back(taken);
        Ok(goes_on)
    }

    /// Returns the devices that windows were added of.
    fn add_windows(
        &mut self,
        devices: &[Waiting],
        until: Micros,
    ) -> Result<BTreeSet<String>, Error> {
        let length = self.length;
        // Held windows are found too, and must not crowd out those behind them.
        let each =
            self.left().div_ceil(devices.len()).max(together(length)) + self.held.most_of_one;
        let mut added = BTreeSet::new();
        let names: Vec<&str> = devices.iter().map(|(name, _)| name.as_str()).collect();
        let keys = store::device_keys(self.sources, &names)?;
        for source in self.sources {
            let mut here = devices.to_vec();
            here.retain(|(name, _)| keys.may_hold(source, name));
            if here.is_empty() {
                continue;
            }
            let found = store::waiting_windows(source, &here, until, length, each as i32)?;
            for (device, first, last) in found {
                let window = window_at(device, first, length);
                if self.held.windows.contains(&window) {
                    continue;
                }
                added.insert(window.device.clone());
                self.add(window, Some((first, last)));
            }
        }
        Ok(added)
    }

    /// Adds windows that are on record as due.
    fn add_due(&mut self, due: &mut Due, of_jobs: bool) -> Result<(), Error> {
        if self.left() == 0 {
            return Ok(());
        }
        let Look { mut devices, span } = self.look(due, of_jobs)?;
        while self.left() > 0 && !devices.is_empty() {
            let mut next = enough_devices(&mut devices, self.left());
            let locked = self.lock(&next)?;
            next.retain(|name| locked.contains(name));
            for window in store::due_windows(&next, span, self.left())? {
                self.add(window, None);
            }
        }
        Ok(())
    }

    /// Devices of which windows are due. However many there are whose servers are away, the others are among them.
    fn look(&mut self, due: &mut Due, of_jobs: bool) -> Result<Look, Error> {
        let some_away = self.membership.is_any_away();
        let most = match some_away {
            true => i32::MAX as usize,
            false => self.left().max(MANY_DEVICES),
        };
        let mut look = due.look(of_jobs, most, self.passed.iter().cloned())?;
        if some_away {
            let names: Vec<String> = look.devices.iter().map(|d| d.device.clone()).collect();
            self.membership.look_up(self.sources, &names)?;
            (look.devices).retain(|d| !self.membership.is_away(&d.device));
        }
        Ok(look)
    }

    /// Adds a window or its new points, unless there are enough windows of its device.
    fn add(&mut self, window: DeviceWindow, new: Option<(Micros, Micros)>) {
        let known = match self.wanted.entry(window) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let count = self.counts.entry(place.key().device.clone()).or_default();
                if *count >= self.enough.of_a_device {
                    return;
                }
                *count += 1;
                place.insert(None)
            }
        };
        *known = match (*known, new) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (known, new) => known.or(new),
        };
    }
}

/// Takes as many devices from the front as have so many windows together: those of one device are decided
/// together.
fn enough_devices(devices: &mut Vec<DueDevice>, windows: usize) -> Vec<String> {
    let mut sum = 0;
    let before = |device: &DueDevice| {
        sum += device.windows as usize;
        sum - (device.windows as usize) < windows
    };
    let count = devices.iter().map(before).take_while(|more| *more).count();
    devices.drain(..count).map(|d| d.device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(device: &str, minute: i64, minutes: i64) -> DeviceWindow {
        window_at(device.into(), minute * MINUTE, minutes * MINUTE)
    }

    #[test]
    fn a_device_gets_no_more_windows_than_are_read_together_and_those_that_came_first() {
        let mut choice = Choice {
            sources: &[],
            length: 5 * MINUTE,
            wanted: Wanted::new(),
            counts: HashMap::new(),
            held: Held::default(),
            passed: &PassedOver::new(),
            membership: &mut Membership::default(),
            enough: Enough {
                windows: 100,
                of_a_device: 2,
            },
            expected: 1,
        };
        choice.add(window("a", 60, 5), Some((61, 62)));
        for minute in [0, 5, 60] {
            choice.add(window("a", minute, 5), Some((60, 61)));
            choice.add(window("b", minute, 5), None);
        }
        assert_eq!(
            choice.wanted.get(&window("a", 60, 5)),
            Some(&Some((60, 62)))
        );
        let wanted: Vec<_> = choice.wanted.into_keys().collect();
        let expected = [("a", 0), ("a", 60), ("b", 0), ("b", 5)];
        assert_eq!(
            wanted,
            expected.map(|(device, minute)| window(device, minute, 5))
        );
    }

    #[test]
    fn as_many_devices_are_taken_as_have_enough_windows() {
        let due = |(name, windows): (&str, i64)| DueDevice {
            device: name.to_string(),
            windows,
            since: 0,
        };
        let mut devices: Vec<_> = [("a", 3), ("b", 3), ("c", 1), ("d", 9)].map(due).into();
        assert_eq!(enough_devices(&mut devices, 4), ["a", "b"]);
        assert_eq!(enough_devices(&mut devices, 1), ["c"]);
        assert_eq!(enough_devices(&mut devices, 100), ["d"]);
        assert!(devices.is_empty());
    }
}
