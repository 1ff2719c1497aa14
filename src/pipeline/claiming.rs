//! Which windows a run takes: live ones first, then what is due again, then the oldest.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};

use pgrx::datum::Uuid;

use super::windows::{covers, floor, window_at};
use crate::backend;
use crate::error::Error;
use crate::settings::Settings;
use crate::store::{self, DeviceWindow, Known, Source};
use crate::track::{self, Micros, Recipe};

const MINUTE: Micros = 60_000_000;
/// A device's clock may be ahead by this much; points later than that wait for their time.
const CLOCK_AHEAD: Micros = 24 * 60 * MINUTE;
/// Windows of one device that are worth taking together: neighbours share what is decided at
/// their common edge.
const TOGETHER: usize = 12;
/// Devices that are looked at for what is due; other workers may have most of them.
const MANY_DEVICES: usize = 200;

/// A window that this run has taken.
#[derive(Debug)]
pub struct Claim {
    pub window: DeviceWindow,
    pub known: Known,
}

/// Claims grouped by device, each group ascending.
pub fn by_device(claims: Vec<Claim>) -> Vec<Vec<Claim>> {
    let mut groups: Vec<Vec<Claim>> = Vec::new();
    for claim in claims {
        match groups.last_mut() {
            Some(group) if group[0].window.device == claim.window.device => group.push(claim),
            _ => groups.push(vec![claim]),
        }
    }
    groups
}

/// Windows with the first and last new point of each, where there are new points.
type Wanted = BTreeMap<DeviceWindow, Option<(Micros, Micros)>>;

/// Devices that a run leaves alone, for somebody holds a row that it would have to write.
pub type PassedOver = BTreeSet<String>;

/// Takes up to about `most` windows, and no more than `of_a_device` of any one; their devices are
/// ours until the transaction ends.
pub fn claim(
    settings: &Settings,
    sources: &[Source],
    most: usize,
    of_a_device: usize,
    passed: &mut PassedOver,
) -> Result<Vec<Claim>, Error> {
    loop {
        let wanted = choose(settings, sources, most, of_a_device, passed)?;
        let none = wanted.is_empty();
        let claims = complete(&settings.recipe, wanted, passed)?;
        if none || !claims.is_empty() {
            return Ok(claims);
        }
    }
}

/// Takes windows of batches that were claimed by hand, as far as nobody else has their devices.
pub fn claim_batches(
    recipe: &Recipe,
    batches: Vec<Uuid>,
    passed: &mut PassedOver,
) -> Result<Vec<Claim>, Error> {
    let windows = store::reclaim(batches)?;
    let devices: BTreeSet<String> = windows.iter().map(|w| w.device.clone()).collect();
    let devices: Vec<String> = devices.into_iter().collect();
    let locked: BTreeSet<String> = store::lock_devices(&devices, devices.len())?
        .into_iter()
        .collect();
    let wanted = windows
        .into_iter()
        .filter(|w| locked.contains(&w.device))
        .map(|w| (w, None))
        .collect();
    complete(recipe, wanted, passed)
}

fn choose(
    settings: &Settings,
    sources: &[Source],
    most: usize,
    of_a_device: usize,
    passed: &PassedOver,
) -> Result<Wanted, Error> {
    let now = backend::now();
    let length = settings.recipe.window;
    let (since, until) = (now - settings.look_back, now + CLOCK_AHEAD);
    // The window before the present one is live too: it settles only now.
    let live_since = floor(now - length.max(5 * MINUTE), length).max(since);

    let mut live: Vec<(Micros, String)> = Vec::new();
    let mut backlog: Vec<(Micros, String)> = Vec::new();
    for source in sources {
        for (device, oldest, newest) in store::waiting_devices(source, since, until)? {
            if passed.contains(&device) {
                continue;
            }
            if newest >= live_since {
                live.push((oldest.max(live_since), device.clone()));
            }
            if oldest < live_since {
                backlog.push((oldest, device));
            }
        }
    }
    let held = Held::read()?;
    let mut choice = Choice {
        sources,
        length,
        wanted: Wanted::new(),
        counts: HashMap::new(),
        held,
        passed,
        most,
        of_a_device,
    };
    choice.add_waiting(&in_order(live), (live_since, until), 1)?;
    choice.add_due(false)?;
    choice.add_waiting(&in_order(backlog), (since, live_since), TOGETHER)?;
    if choice.left() > 0 {
        backend::unless_locked(|| store::advance_jobs(choice.left()))?;
        choice.add_due(true)?;
    }
    Ok(choice.wanted)
}

/// Names without repetition, oldest first.
fn in_order(mut devices: Vec<(Micros, String)>) -> Vec<String> {
    devices.sort();
    let mut seen = BTreeSet::new();
    devices
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

/// Windows that must be left alone for now: put off, or in somebody's hands.
#[derive(Default)]
struct Held {
    windows: BTreeSet<DeviceWindow>,
    /// The most that any one device has.
    most_of_one: usize,
}

impl Held {
    fn read() -> Result<Self, Error> {
        let windows: BTreeSet<DeviceWindow> = store::held_windows()?.into_iter().collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for window in &windows {
            *counts.entry(&window.device).or_default() += 1;
        }
        let most_of_one = counts.values().copied().max().unwrap_or(0);
        Ok(Self {
            windows,
            most_of_one,
        })
    }
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
    most: usize,
    of_a_device: usize,
}

impl Choice<'_> {
    fn left(&self) -> usize {
        self.most.saturating_sub(self.wanted.len())
    }

    /// Adds windows that have unprocessed points in the span, `together` of a device, device
    /// after device until there are enough.
    fn add_waiting(
        &mut self,
        mut devices: &[String],
        (since, until): (Micros, Micros),
        together: usize,
    ) -> Result<(), Error> {
        while self.left() > 0 && !devices.is_empty() {
            let next;
            (next, devices) = devices.split_at(devices.len().min(self.left().div_ceil(together)));
            let locked = store::lock_devices(next, next.len())?;
            if !locked.is_empty() {
                self.add_windows(&locked, (since, until), together)?;
            }
        }
        Ok(())
    }

    fn add_windows(
        &mut self,
        devices: &[String],
        (since, until): (Micros, Micros),
        together: usize,
    ) -> Result<(), Error> {
        let length = self.length;
        // Held windows are found too, and must not crowd out those behind them.
        let each = self.left().div_ceil(devices.len()).max(together) + self.held.most_of_one;
        let from: Vec<_> = devices.iter().map(|d| (d.clone(), since)).collect();
        for source in self.sources {
            let found = store::waiting_windows(source, &from, until, length, each as i32)?;
            for (device, first, last) in found {
                let window = window_at(device, first, length);
                if self.held.windows.contains(&window) {
                    continue;
                }
                self.add(window, Some((first, last)));
            }
        }
        Ok(())
    }

    /// Adds windows that are on record as due.
    fn add_due(&mut self, of_jobs: bool) -> Result<(), Error> {
        if self.left() == 0 {
            return Ok(());
        }
        let most = self.left().max(MANY_DEVICES);
        let devices = store::due_devices(of_jobs, most, self.passed.iter().cloned())?;
        let locked = store::lock_devices(&devices, self.left())?;
        if locked.is_empty() {
            return Ok(());
        }
        for window in store::due_windows(&locked, self.left())? {
            self.add(window, None);
        }
        Ok(())
    }

    /// Adds a window or its new points, unless there are enough windows of its device.
    fn add(&mut self, window: DeviceWindow, new: Option<(Micros, Micros)>) {
        let known = match self.wanted.entry(window) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let count = self.counts.entry(place.key().device.clone()).or_default();
                if *count >= self.of_a_device {
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

/// Completes the choice: finished neighbours that new points reach and windows of another length
/// come in; devices of which somebody holds a row go.
fn complete(
    recipe: &Recipe,
    mut wanted: Wanted,
    passed: &mut PassedOver,
) -> Result<Vec<Claim>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let new: Vec<_> = wanted
        .iter()
        .filter_map(|(window, new)| new.map(|(first, last)| (window.device.clone(), first, last)))
        .collect();
    for window in store::neighbours(&new, track::context_reach(recipe))? {
        wanted.entry(window).or_default();
    }
    cover_odd(recipe.window, &mut wanted);
    for window in store::overlapped(&windows(&wanted))? {
        wanted.entry(window).or_default();
    }
    passed.extend(store::lock_windows(&windows(&wanted))?);
    wanted.retain(|window, _| !passed.contains(&window.device));
    cover_odd(recipe.window, &mut wanted);
    store::recut(&windows(&wanted))?;
    let windows: Vec<DeviceWindow> = wanted.into_keys().collect();
    let known = store::known_batches(&windows)?;
    Ok(windows
        .into_iter()
        .zip(known)
        .map(|(window, known)| Claim { window, known })
        .collect())
}

fn windows(wanted: &Wanted) -> Vec<DeviceWindow> {
    wanted.keys().cloned().collect()
}

/// Puts windows of the present length in the place of others. Lengths divide each other, so that
/// they reach no further than the longer of both.
fn cover_odd(length: Micros, wanted: &mut Wanted) {
    let is_odd = |w: &&DeviceWindow| w.span.end - w.span.start != length;
    let odd: Vec<DeviceWindow> = wanted.keys().filter(is_odd).cloned().collect();
    for window in odd {
        wanted.remove(&window);
        for cover in covers(&window, length) {
            wanted.entry(cover).or_default();
        }
    }
}

#[cfg(test)]
impl Claim {
    /// A window that was never tried before.
    pub fn of(window: DeviceWindow) -> Self {
        Self {
            window,
            known: Known {
                batch: Uuid::from_bytes([0; 16]),
                retries: 0,
                new: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(device: &str, minute: i64, minutes: i64) -> DeviceWindow {
        window_at(device.into(), minute * MINUTE, minutes * MINUTE)
    }

    fn claim(device: &str, minute: i64) -> Claim {
        Claim::of(window(device, minute, 5))
    }

    #[test]
    fn claims_of_a_device_stay_together_in_their_order() {
        let groups = by_device(vec![claim("a", 0), claim("a", 5), claim("b", 0)]);
        let starts: Vec<Vec<Micros>> = groups
            .iter()
            .map(|group| group.iter().map(|c| c.window.span.start).collect())
            .collect();
        assert_eq!(starts, [vec![0, 5 * MINUTE], vec![0]]);
        assert!(by_device(Vec::new()).is_empty());
    }

    #[test]
    fn the_device_that_has_waited_longest_comes_first_and_each_only_once() {
        let waiting = [(3, "c"), (2, "a"), (1, "b"), (4, "b")];
        let waiting = waiting.map(|(oldest, name)| (oldest, name.to_string()));
        assert_eq!(in_order(waiting.to_vec()), ["b", "a", "c"]);
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
            most: 100,
            of_a_device: 2,
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
}
