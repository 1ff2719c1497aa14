//! What a round takes: the windows that were chosen and those that must be done with them, locked, with what is
//! on record of each.

use std::collections::BTreeSet;

use pgrx::datum::Uuid;

use super::choosing::{Enough, PassedOver, Wanted, choose};
use super::membership::Membership;
use super::search::Search;
use super::settling::settles_at;
use super::windows::covers;
use crate::backend;
use crate::error::{Error, Failure};
use crate::settings::Settings;
use crate::store::{self, Checks, DeviceWindow, Group, Known, Source};
use crate::track::{self, Micros};

/// A window that this run has taken.
#[derive(Debug)]
pub struct Claim {
    pub window: DeviceWindow,
    pub known: Known,
    /// First and last of its new points, if it has any.
    pub new: Option<(Micros, Micros)>,
    /// When it settles, if it is open and has new points.
    pub settles: Option<Micros>,
    /// The one that the device is in at present.
    pub group: Group,
}

impl Claim {
    /// Whether the window had settled: it may be matched once more because the map is another.
    pub fn is_again(&self) -> bool {
        !self.known.new && !self.known.provisional
    }

    /// Whether what comes of an open window may be drawn on from its line: not if that was matched on other roads.
    pub fn goes_on(&self) -> bool {
        self.known.new || self.known.group == self.group
    }
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

/// What a round takes.
pub struct Taken {
    pub claims: Vec<Claim>,
    /// Not everything has been looked through; there may be windows to take yet.
    pub goes_on: bool,
}

/// Takes windows until there are enough; their devices are ours until the transaction ends.
pub fn claim(
    settings: &Settings,
    sources: &[Source],
    enough: Enough,
    search: &mut Search,
    passed: &mut PassedOver,
    membership: &mut Membership,
) -> Result<Taken, Error> {
    loop {
        let (wanted, goes_on) = choose(settings, sources, enough, search, passed, membership)?;
        let none = wanted.is_empty();
        let claims = complete(settings, wanted, passed, membership)?;
        if none || !claims.is_empty() {
            return Ok(Taken { claims, goes_on });
        }
    }
}

/// Takes windows of batches that were claimed by hand, as far as nobody else has their devices.
pub fn claim_batches(
    settings: &Settings,
    sources: &[Source],
    batches: Vec<Uuid>,
    passed: &mut PassedOver,
    membership: &mut Membership,
) -> Result<Vec<Claim>, Error> {
    let windows = store::reclaim(batches)?;
    let devices: BTreeSet<String> = windows.iter().map(|w| w.device.clone()).collect();
    let devices: Vec<String> = devices.into_iter().collect();
    let locked: BTreeSet<String> = store::lock_devices(&devices, devices.len())?
        .into_iter()
        .collect();
    membership.look_up(sources, &devices)?;
    let wanted = windows
        .into_iter()
        .filter(|w| locked.contains(&w.device))
        .map(|w| (w, None))
        .collect();
    complete(settings, wanted, passed, membership)
}

/// Completes the choice: finished neighbours that new points reach and windows of another length
/// come in, devices of which somebody holds a row go. Those that an open window reaches can wait until
/// that settles.
fn complete(
    settings: &Settings,
    mut wanted: Wanted,
    passed: &mut PassedOver,
    membership: &Membership,
) -> Result<Vec<Claim>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (recipe, now) = (&settings.recipe, backend::now());
    let settles = |window: &DeviceWindow, new: Option<(Micros, Micros)>| {
        settles_at(&window.device, new?.1, settings.settle_delay, now)
    };
    let new: Vec<_> = wanted
        .iter()
        .filter(|(window, new)| settles(window, **new).is_none())
        .filter_map(|(window, new)| new.map(|(first, last)| (window.device.clone(), first, last)))
        .collect();
    for window in store::neighbours(&new, track::context_reach(recipe))? {
        wanted.entry(window).or_default();
    }
    cover_odd(recipe.window, &mut wanted);
    let overlapped = store::overlapped(&windows(&wanted))?;
    let recut = !overlapped.is_empty();
    for window in overlapped {
        wanted.entry(window).or_default();
    }
    passed.extend(store::lock_windows(&windows(&wanted))?);
    wanted.retain(|window, _| !passed.contains(&window.device));
    if recut {
        cover_odd(recipe.window, &mut wanted);
        replace_odd(&mut wanted, passed)?;
    }
    let known = store::known_batches(&windows(&wanted))?;
    Ok(wanted
        .into_iter()
        .zip(known)
        .map(|((window, new), known)| Claim {
            settles: settles(&window, new),
            new,
            group: membership.of(&window.device),
            window,
            known,
        })
        .collect())
}

/// Puts it on record that windows are in the place of batches of another length. A device of which a batch cannot go, for
/// something of the application refers to it, is passed over.
fn replace_odd(wanted: &mut Wanted, passed: &mut PassedOver) -> Result<(), Error> {
    let checks = Checks::new()?;
    let replace = |windows: &[DeviceWindow]| checks.attempt(|| store::recut(windows));
    if replace(&windows(wanted)).is_ok() {
        return Ok(());
    }
    let windows = windows(wanted);
    let mut told = false;
    for of_device in windows.chunk_by(|a, b| a.device == b.device) {
        if let Err(why) = replace(of_device) {
            let device = &of_device[0].device;
            if !told {
                Failure::from(why).warn(
                    &format!(
                        "could not replace batches of another window length of device \"{device}\""
                    ),
                    "Let what refers to them go, or set osrm_matcher.window to what it was.",
                );
                told = true;
            }
            passed.insert(device.clone());
        }
    }
    wanted.retain(|window, _| !passed.contains(&window.device));
    Ok(())
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
                provisional: false,
                group: None,
            },
            new: None,
            settles: None,
            group: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::windows::window_at;
    use crate::track::Micros;

    const MINUTE: Micros = 60_000_000;

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
}
