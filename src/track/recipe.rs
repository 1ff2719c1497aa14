//! Everything that can be turned about the line, in one place.
//!
//! [`Recipe`] is what an operator sets. The constants below are the project's own, in the order in
//! which the stages use them. Where no other source is named, a value was found by `make quality`
//! (drives with a known truth, see docs/quality.md): it is the best of a few values tried around
//! it, and changes beyond rounding show in that table. A change of any of them is a change of the
//! line: run `make quality`, which fails where the line got worse.

use super::model::Micros;

/// What an operator may turn about matching.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Length of a window.
    pub window: Micros,
    /// A silence longer than this ends a path; what lies between is not invented.
    pub max_gap: Micros,
    /// Standard deviation of fixes that report none, in metres; `None`: estimated from the fixes.
    pub gps_accuracy: Option<f64>,
    /// How far a stored line may be off the one that was found, in metres; 0: all vertices are kept.
    pub tolerance: f64,
}

impl Recipe {
    /// The number of the window that holds an instant.
    pub(super) fn window_number(&self, time: Micros) -> i64 {
        time.div_euclid(self.window.max(1))
    }
}

/// The smallest and the largest of something.
pub type Bounds = (f64, f64);

/// A median absolute deviation is this share of the standard deviation of a normal distribution.
pub const MEDIAN_TO_DEVIATION: f64 = 0.6745;

/// The median distance from the middle of what scatters in two directions, in standard deviations of one of them
/// (Rayleigh).
pub const MEDIAN_DISTANCE: f64 = 1.1774;

/// What a vehicle can do.
pub mod vehicle {
    /// No vehicle is faster, in m/s (252 km/h), beside what noise adds to a step.
    pub const TOP_SPEED: f64 = 70.0;
    /// Noise may add this much to a step, in metres: twice the worst deviation that is common.
    pub const JUMP: f64 = 40.0;
    /// No vehicle gathers speed faster for long, nor brakes harder, in m/s²: from a stand to 100 km/h in 7 s.
    pub const ACCELERATION: f64 = 4.0;
    /// Noise may add this much, in metres, where a step is held against those before and after it.
    pub const BLUR: f64 = 100.0;
    /// A vehicle that stays so long is parked, in seconds: longer than a red light lasts.
    pub const PARKED: f64 = 120.0;
}

/// The pieces that the work is cut into.
pub mod slot {
    use crate::track::model::{Micros, SECOND};

    /// Length of a slot. Five minutes cost more where fixes are sparse, and gave a worse line; 20 minutes and two
    /// hours had given no better one than five.
    pub const LENGTH: Micros = 900 * SECOND;
}

/// Stage 1: from raw fixes to segments of driving.
pub mod prepare {
    use crate::track::model::{Micros, SECOND};

    /// A run of at most this many fixes that lie together elsewhere is taken for a teleport.
    pub const LONGEST_TELEPORT: usize = 3;
    /// A run that only a silence lets be left, or reached, is a teleport if the way across it is less than this
    /// factor times the way there: a vehicle that truly was there has no reason to be back,
    pub const WAY_BACK: f64 = 2.0;
    /// or if it was reached in this factor times as long a time as it is left in: after a silence, receivers wake up
    /// with wrong places.
    pub const SILENCE: f64 = 2.0;
    /// A vehicle that turns back does not come and leave faster than so many times as it usually drives, and that is
    /// the median of so many steps to each side, or these metres a second; fewer steps tell nothing.
    pub const SPIKE_SPEED: f64 = 2.5;
    pub const SPIKE_SIDE: usize = 8;
    pub const USUAL_SPEED: f64 = 8.0;
    pub const FEWEST_STEPS: usize = 4;
    /// Slower steps are none, in m/s.
    pub const SLOWEST: f64 = 1.0;
    /// It turns back where the way across is less than this share of the ways there and back.
    pub const SPIKE_ACROSS: f64 = 0.7;
    /// A receiver that hears nothing may repeat its last place for so many seconds; one that
    /// repeats it longer is parked.
    pub const FROZEN: f64 = super::vehicle::PARKED;
    /// From a place that it only repeats a vehicle would have to go so many times as fast as before and after.
    pub const HASTE: f64 = 1.5;
    /// Two fixes nearer than this are the same place, in metres: less than any receiver's noise.
    pub const SAME_PLACE: f64 = 0.5;
    /// A place that a device sends again within so many seconds, after others, may be one that it has left.
    pub const AGAIN: f64 = super::vehicle::PARKED;
    /// Fixes came late if they followed each other so many times as fast as the device takes them, and made the vehicle
    /// so many times as fast,
    pub const LATE: f64 = 2.5;
    /// and if they are as many as it takes in that time, within these factors; but never fewer nor more than
    pub const LATE_SHARE: super::Bounds = (0.4, 1.6);
    pub const FEWEST_LATE: usize = 3;
    pub const MOST_LATE: usize = 500;
    /// How often it takes one is told by so many steps before, if they last for this share of the silence.
    pub const KNOWN_BEFORE: f64 = 0.1;
    pub const USUAL_STEPS: usize = 24;
    /// In another order that a device may send them in they are believed if the way is shorter by this factor, and all
    /// mixed up by that one.
    pub const KNOWN_ORDER: f64 = 0.9;
    pub const MIXED_ORDER: f64 = 0.8;
    /// So many of the fixes of one second are compared, so that a flood of them costs no time.
    pub const READINGS: usize = 8;
    /// Half the side of the square around (0, 0) that stands for "no position", in degrees.
    pub const NULL_ISLAND: f64 = 0.001;

    /// A pause longer than this starts the smoother anew, in seconds: what a vehicle does in it is
    /// not known from its speed before.
    pub const RESTART: f64 = 15.0;
    /// How much a vehicle changes its speed, m/s² (power of the white acceleration).
    pub const ACCELERATION: f64 = 1.0;
    /// Before the first fix nothing is known: variance of the place in m², and of the speed in
    /// (m/s)², where 30 m/s is a fast road.
    pub const UNKNOWN_PLACE: f64 = 1e6;
    pub const UNKNOWN_SPEED: f64 = 900.0;
    /// Triples of fixes with longer steps say more about the road than about noise, in seconds.
    pub const LONGEST_STEP: f64 = 3.0;
    /// Fewer triples than this give no estimate of the noise.
    pub const FEWEST_TRIPLES: usize = 5;
    /// A triple that goes on by less than this stands still and has no direction, in metres.
    pub const LEAST_CHORD: f64 = 2.0;
    /// No receiver is better, in metres, and worse ones say no more than that.
    pub const LEAST_NOISE: f64 = 2.0;
    pub const MOST_NOISE: f64 = 100.0;
    /// Fixes scatter where so many to each side of one go to and fro by more than a vehicle does, and by so many times
    /// what is known of their noise, and by these metres at least.
    pub const SCATTER_SIDE: usize = 2;
    pub const SCATTER_FACTOR: f64 = 2.0;
    pub const LEAST_SCATTER: f64 = 8.0;
    /// A vehicle that turns to one side and the other changes its speed by so much at most, and one that turns round a
    /// bend, such as that of a motorway's ramp, by so much, in m/s².
    pub const SWERVE: f64 = 1.2;
    pub const BEND: f64 = 2.5;

    /// Fixes of a parked vehicle lie within this of their middle, in metres, if they are good,
    pub const CLOSE: f64 = 20.0;
    /// within so many standard deviations if they are not,
    pub const SPREAD: f64 = 2.5;
    /// and never farther than this, in metres. A receiver that stays within it until it stands again has been parked
    /// all the while.
    pub const FARTHEST: f64 = 60.0;
    /// A parked vehicle whose fixes stray for less than this is still parked, in seconds.
    pub const STRAY: f64 = 60.0;
    /// Back so soon, it has not moved at all: within it, no vehicle gets farther than 100 m and back.
    pub const AT_ONCE: Micros = 20 * SECOND;

    /// Slower devices report any course, in m/s.
    pub const LEAST_SPEED: f64 = 3.0;
    /// A course is held against the way from the nearest fixes that are so many metres off: it agrees within these
    /// degrees of the way there or of that on.
    pub const LEAST_WAY: f64 = 10.0;
    pub const AGREEMENT: f64 = 60.0;
    /// Courses are believed where at least this share agrees, of so many. Half of chance ones do.
    pub const AGREEMENT_SHARE: f64 = 0.8;
    pub const FEWEST_COURSES: usize = 5;
    /// Courses so many degrees apart, of two fixes that follow each other or within so many seconds: it turned.
    pub const OPPOSITE: f64 = 130.0;
    pub const TURNING: f64 = 45.0;

    /// Fixes nearer than this to the last one kept say nothing new, in metres,
    pub const SPACING: f64 = 20.0;
    /// nor do those whose distance may be noise: so many standard deviations, up to a distance.
    pub const DEVIATIONS: f64 = 3.0;
    pub const WIDEST: f64 = 60.0;
    /// Around one fix so many others are enough if they reach so many metres.
    pub const FEW: usize = 6;
    pub const FAR: f64 = 2_000.0;
    /// Fixes without noise are thinned to this distance, in metres, and keep a turn of this depth.
    pub const CLEAN_SPACING: f64 = 5.0;
    pub const CLEAN_TIP: f64 = 1.5;
    /// A piece of driving that is shorter than this is none, in metres.
    pub const SHORTEST: f64 = 1.0;
}

/// The provisional line of an open window.
pub mod onward {
    use crate::track::model::{Micros, SECOND};

    /// A vehicle that came farther in so long a time than noise reaches is on its way, though it is still near where
    /// its line ended: some 2 m/s.
    pub const LATELY: Micros = 10 * SECOND;
    /// One that is no farther from there than this has just stopped, in metres.
    pub const LEAST_STEP: f64 = 5.0;
    /// Fixes nearer than this to the last one kept are not asked about, in metres: half the points of dense
    /// fixes, for half the price.
    pub const SPACING: f64 = 50.0;
    /// The radiuses to begin with, in metres: a smaller one is asked about again more often than it saves.
    pub const RADIUSES: super::Bounds = (8.0, 20.0);
    /// What the road between two fixes may be longer than the straight way, in metres: a wider bound costs more,
    /// and found worse ways.
    pub const BOUND: f64 = 60.0;
    /// A path of so many vertices grows no more: its row is written anew with each run, however long its window is.
    pub const LONGEST: usize = 100;
}

/// Stage 2: what OSRM is asked, and what of its answer is believed.
pub mod ask {
    use super::Bounds;
    use crate::track::model::{Micros, SECOND};

    /// Points of a request: larger ones gain nothing (OSRM's own limit is 100).
    pub const LARGEST: usize = 90;
    /// A request that is not the last overlaps the next by a quarter, up to so many points.
    pub const OVERLAP: usize = 12;
    /// A request that timed out is cut in two, its radius made smaller and its bound to detours
    /// tighter, so often.
    pub const SHRINKS: u32 = 3;
    pub const SHRINK: f64 = 0.6;
    pub const SHRINK_DETOUR: f64 = 0.25;
    /// An anchor is a place on the road already: OSRM need not look any farther, in metres.
    pub const ANCHOR: f64 = 2.0;

    /// What OSRM allows the road between two fixes to be longer than the straight way: so many
    /// metres, and so many times the usual step. A wider bound finds more and costs more.
    pub const BOUND: f64 = 150.0;
    pub const BOUND_STEPS: f64 = 1.0;
    /// In OSRM's profile for cars it costs 3,277 s to turn into a street that is for residents
    /// only, and its matcher reckons with 4 m/s: a bound of this many metres lets it in.
    pub const NO_BOUND: f64 = 13_500.0;
    /// OSRM takes its bound from the median step in time, at 180 km/h (its source), in m/s.
    pub const BOUND_SPEED: f64 = 50.0;
    /// The longest step in time that is needed for a bound, in seconds.
    pub const LONGEST_STEP: f64 = 600.0;

    /// A place on the road that is farther than this from its point is the answer to another question, in metres: OSRM
    /// looks within three times a radius.
    pub const ELSEWHERE: f64 = 300.0;
    /// OSRM looks within three times a radius, at a cost that grows with its fourth power: this is
    /// where it becomes dear, in metres.
    pub const LARGEST_RADIUS: f64 = 25.0;
    /// The radiuses that are tried, in metres.
    pub const DENSE_RADIUSES: Bounds = (8.0, 20.0);
    /// Fixes so many seconds apart let OSRM wander between them: the road they lie on must lead.
    pub const SPARSE: f64 = 20.0;
    pub const SPARSE_RADIUSES: Bounds = (5.0, 17.0);
    /// Fixes that lie nearer to the road than this are clean, in metres: roads have a width.
    pub const CLEAN: f64 = 1.5;
    /// A radius that is too small by less than this factor will do.
    pub const ENOUGH: f64 = 1.3;
    /// An observation that found no road counts as so many radiuses off it: OSRM looked three far.
    pub const NOT_FOUND: f64 = 4.0;

    /// The context on each side of a slot's edge: at least this span, for a stop that reaches across it has to be seen
    /// from both, and so many distinct seconds.
    pub const CONTEXT: Micros = 120 * SECOND;
    pub const CONTEXT_SECONDS: usize = 12;
    /// Fixes on each side of the edge that the request holds.
    pub const SIDE: usize = 12;
    /// A radius is looked for so often.
    pub const TRIES: u32 = 3;

    /// An observation does not fit its road if it lies so many times farther off than usual (and
    /// a metre).
    pub const TROUBLE: f64 = 3.0;
    /// What is asked about anew reaches so many metres, and observations, to each side of the
    /// trouble,
    pub const MARGIN: f64 = 150.0;
    pub const MARGIN_STEPS: usize = 3;
    /// and if that is more than this share of the trace, all of it is asked about.
    pub const MOST_TROUBLE: f64 = 0.7;

    /// Observations are noisier than the rest where the median of so many to each side of one, and of itself, needs so
    /// many times their radius.
    pub const NOISY_SIDE: usize = 4;
    pub const NOISY: f64 = 1.5;
    /// So many times their radius, and they are asked about again though they found a road.
    pub const VERY_NOISY: f64 = 2.0;

    /// An answer is in doubt where two observations lie so many times farther off than usual (and
    /// so many metres),
    pub const DOUBTFUL: f64 = 3.0;
    pub const TOLERANCE: f64 = 3.0;
    /// and another is asked for, with fixes thinned to this distance and this radius, in metres.
    pub const OTHER_SPACING: f64 = 30.0;
    pub const OTHER_RADIUS: f64 = 15.0;
    /// An observation that advances by less on a line is left out there, in metres.
    pub const LEAST_ADVANCE: f64 = 0.5;
    /// Prices of a choice between answers. The deviation of fixes is taken within these bounds,
    pub const LEAST_OFF: f64 = 6.0;
    pub const MOST_OFF: f64 = 20.0;
    /// a fix counts by the metres since the one before, up to these,
    pub const WEIGHT_STEP: f64 = 50.0;
    /// with a loss that grows but slowly beyond so many deviations (squared),
    pub const OUTLIER: f64 = 4.0;
    /// each such length in metres by which a way is longer or shorter than the fixes' own counts one,
    pub const BEYOND: f64 = 20.0;
    /// a leg that is not to be believed, and each turn back by more degrees than this,
    pub const DISBELIEF: f64 = 20.0;
    pub const BACK: f64 = 3.0;
    pub const TURN_BACK: f64 = 150.0;
    /// a straight line where it begins, and for each step of the weight above,
    pub const RAW_BEGINS: f64 = 60.0;
    pub const RAW_STEP: f64 = 2.0;
    /// and the second answer where it is entered.
    pub const OTHER: f64 = 5.0;
    /// Two answers meet where they are so near each other, in metres, and run the same way, within
    /// these degrees.
    pub const MEET: f64 = 3.0;
    pub const MEET_ANGLE: f64 = 90.0;

    /// So many questions about one trace, so that none can hold a server for long.
    pub const MOST_QUESTIONS: u32 = 40;
    /// A leg that is longer than the fixes' own way by so many metres, and so many metres a
    /// second, may have driven round the block to turn.
    pub const ROUND: f64 = 40.0;
    pub const ROUND_SPEED: f64 = 5.0;
    /// Gaps of more observations are asked about with a bound to detours, in metres.
    pub const SHORT_GAP: usize = 12;
    pub const LONG_GAP_BOUND: f64 = 300.0;
    /// A leg that leaves out an observation so many metres beside it, and so many times its
    /// radius, may have missed where the vehicle turned round.
    pub const TIP: f64 = 15.0;
    pub const TIP_RADIUSES: f64 = 1.0;
    /// Around a gap that stays, so many observations to each side are asked about again, with a
    /// larger radius, until all of it can have been driven; at last the fewest once more with that of
    /// another answer, which is much larger where fixes are sparse.
    pub const AROUND: [usize; 4] = [6, 15, 30, 60];
    pub const AROUND_RADIUS: f64 = 1.5;

    /// So many observations of a gap are asked about, whether a road is near.
    pub const SAMPLE: usize = 12;

    /// A leg that is longer than the fixes' own way by this factor, and these metres, and these
    /// metres a second between the fixes, drove around something that the map lacks.
    pub const DETOUR: f64 = 1.6;
    pub const DETOUR_SLACK: f64 = 60.0;
    pub const DETOUR_SPEED: f64 = 8.0;
    /// A slow vehicle has only so many times its own speed, and so much, in m/s.
    pub const DETOUR_HASTE: f64 = 2.0;
    pub const LEAST_DETOUR_SPEED: f64 = 0.5;
    /// Of the time between the fixes only so much counts: so many times the longest silence of the
    /// device, and these seconds. Who reports all the while has no time for a detour unseen.
    pub const UNSEEN: f64 = 2.0;
    pub const UNSEEN_SLACK: f64 = 10.0;
    /// An observation that a leg left out is astray so many metres from it, and so many times its
    /// radius.
    pub const ASTRAY: f64 = 20.0;
    pub const ASTRAY_RADIUSES: f64 = 2.0;
    /// Observations that are astray for so many seconds were driven; fewer are an outlier.
    pub const EXCURSION: f64 = 5.0;
    /// Unless the leg is about as long as their own way (factors, and these metres), lasts no
    /// longer than this, and none of them lies farther off: then noise lay beside the road.
    pub const BESIDE: Bounds = (0.7, 1.3);
    pub const BESIDE_SLACK: f64 = 30.0;
    pub const BESIDE_TIME: f64 = 60.0;
    pub const BESIDE_FARTHEST: f64 = 100.0;
}

/// Where two slots meet.
pub mod seam {
    /// The seam is one of so many fixes.
    pub const CHOICE: usize = 4;
    /// What a place costs as a seam, in metres beside its distance from the fix: for each fix
    /// farther from the edge, where OSRM may still change its mind, and for a side on which
    /// nothing leads away.
    pub const LATER: f64 = 6.0;
    pub const NOT_FINAL: f64 = 15.0;
    pub const LOOSE: f64 = 20.0;
}

/// Stage 3: from matched legs to paths.
pub mod draw {
    use crate::track::model::{Micros, SECOND};

    /// A raw stub at the end of a matched line is drawn from this length on, in metres; a shorter
    /// one is noise.
    pub const STUB: f64 = 100.0;

    /// Spikes up to this depth are taken out of the line of clean fixes, in metres,
    pub const CLEAN_SPIKE: f64 = 3.0;
    /// and up to so many radiuses of others, but none that are deeper than this.
    pub const SPIKE: f64 = 2.0;
    pub const DEEPEST_SPIKE: f64 = 30.0;
    /// Two arms of a spike leave its tip within eight degrees of each other (cosine).
    pub const SAME_DIRECTION: f64 = 0.99;
    /// Two arms that lie so near each other are the same road, in metres.
    pub const SAME_ROAD: f64 = 1.0;

    /// A matched path is good if at least this share of its fixes found a road,
    pub const GOOD_SHARE: f64 = 0.8;
    /// these lie so many metres or less from it on average,
    pub const GOOD_OFFSET: f64 = 15.0;
    /// the line is at most so many times as long as the way through the fixes, and these metres,
    pub const GOOD_DETOUR: f64 = 1.3;
    pub const GOOD_DETOUR_SLACK: f64 = 100.0;
    /// and no leg implies a greater speed than this, in m/s.
    pub const GOOD_SPEED: f64 = 60.0;

    /// A path's greatest speed is a mean over so long a span: over single legs, noise and rounded times made up
    /// to four times the true one of it; over 20 s the mean error is within a tenth up to 10 m of noise.
    pub const SPEED_SPAN: Micros = 20 * SECOND;
}
