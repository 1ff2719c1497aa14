//! A question to OSRM's `/match` service and the URL path that asks it.

/// One point of a trace as OSRM is asked about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestPoint {
    /// Degrees east, WGS 84.
    pub lon: f64,
    /// Degrees north, WGS 84.
    pub lat: f64,
    /// Whole seconds, strictly increasing along a request. OSRM looks at their steps only.
    pub time: i64,
    /// Standard deviation of the position in metres; OSRM looks for roads within three times this.
    pub radius: f64,
    /// Where the road must lead, in degrees clockwise from north, within [`RANGE`]; `None`: anywhere.
    pub course: Option<f64>,
}

/// A trace to be matched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatchRequest {
    pub points: Vec<RequestPoint>,
}

/// `gaps=ignore`: we cut at silences ourselves, and OSRM would cut at ten times the median step.
/// `annotations=duration`: one short number a segment is the cheapest way to learn how many
/// segments of the geometry belong to each leg.
const OPTIONS: &str = "&gaps=ignore&overview=full&geometries=polyline6&generate_hints=false\
                       &annotations=duration";

/// Degrees to either side of a course. 75 and 90 gave a worse line for more of OSRM's time.
const RANGE: i64 = 60;

impl MatchRequest {
    /// The path and query of the URL that asks this.
    pub fn path(&self, profile: &str) -> String {
        // 23 bytes a coordinate pair, 11 a time, 6 a radius at most in ordinary cases.
        let mut url = String::with_capacity(96 + profile.len() + 42 * self.points.len());
        url.push_str("/match/v1/");
        push_escaped(&mut url, profile);
        url.push('/');
        self.join(&mut url, |url, p| {
            push_fixed(url, p.lon, 6);
            url.push(',');
            push_fixed(url, p.lat, 6);
        });
        url.push_str("?timestamps=");
        self.join(&mut url, |url, p| push_integer(url, p.time));
        url.push_str("&radiuses=");
        self.join(&mut url, |url, p| push_fixed(url, p.radius, 1));
        if self.points.iter().any(|p| p.course.is_some()) {
            url.push_str("&bearings=");
            self.join(&mut url, |url, p| {
                if let Some(course) = p.course {
                    push_integer(url, (course.round() as i64).rem_euclid(360));
                    url.push(',');
                    push_integer(url, RANGE);
                }
            });
        }
        url.push_str(OPTIONS);
        url
    }

    fn join(&self, url: &mut String, push: impl Fn(&mut String, &RequestPoint)) {
        for (i, point) in self.points.iter().enumerate() {
            if i > 0 {
                url.push(';');
            }
            push(url, point);
        }
    }
}

/// The profile is a setting: nothing in it may reach beyond its own place in the URL.
fn push_escaped(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            url.push(byte as char);
        } else {
            url.push('%');
            url.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            url.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
    }
}

fn push_integer(url: &mut String, value: i64) {
    if value < 0 {
        url.push('-');
    }
    push_digits(url, value.unsigned_abs(), 1);
}

/// At least `least` digits; thousands of these a request make the formatting machinery of the
/// standard library count.
fn push_digits(url: &mut String, mut value: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 || digits.len() - at < least {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    url.extend(digits[at..].iter().map(|d| char::from(*d)));
}

/// A number with so many decimals, trailing zeros left out.
fn push_fixed(url: &mut String, value: f64, decimals: u32) {
    let scale = 10u64.pow(decimals);
    let scaled = (value.abs() * scale as f64).round() as u64;
    if value < 0.0 && scaled > 0 {
        url.push('-');
    }
    push_digits(url, scaled / scale, 1);
    let (mut rest, mut width) = (scaled % scale, decimals as usize);
    if rest > 0 {
        while rest.is_multiple_of(10) {
            rest /= 10;
            width -= 1;
        }
        url.push('.');
        push_digits(url, rest, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fixed(value: f64, decimals: u32) -> String {
        let mut text = String::new();
        push_fixed(&mut text, value, decimals);
        text
    }

    #[test]
    fn a_whole_request() {
        let point = |lon, lat, time, radius| RequestPoint {
            lon,
            lat,
            time,
            radius,
            course: None,
        };
        let request = MatchRequest {
            points: vec![
                point(24.9384, 60.1699, 1_700_000_000, 15.0),
                point(-0.0000004, -60.000001, 1_700_000_005, 2.5),
            ],
        };
        assert_eq!(
            request.path("driving"),
            "/match/v1/driving/24.9384,60.1699;0,-60.000001?timestamps=1700000000;1700000005\
             &radiuses=15;2.5&gaps=ignore&overview=full&geometries=polyline6\
             &generate_hints=false&annotations=duration"
        );
    }

    #[test]
    fn courses_are_bearings() {
        let point = |course| RequestPoint {
            lon: 24.0,
            lat: 60.0,
            time: 0,
            radius: 5.0,
            course,
        };
        let points = vec![point(Some(-0.6)), point(None), point(Some(359.7))];
        let path = MatchRequest { points }.path("driving");
        assert!(path.contains("&bearings=359,60;;0,60&"), "{path}");
    }

    #[test]
    fn a_profile_cannot_leave_its_place() {
        let path = MatchRequest::default().path("a/../b?c#ä");
        assert!(path.starts_with("/match/v1/a%2F..%2Fb%3Fc%23%C3%A4/?"));
    }

    #[test]
    fn times_before_the_epoch() {
        let mut text = String::new();
        push_integer(&mut text, -17);
        assert_eq!(text, "-17");
    }

    proptest! {
        #[test]
        fn decimals_are_those_of_the_standard_library(value in -180.0f64..180.0) {
            let expected: f64 = format!("{value:.6}").parse().unwrap();
            let got: f64 = fixed(value, 6).parse().unwrap();
            // A tie may be rounded to either side.
            prop_assert!((got - expected).abs() < 1.1e-6);
            prop_assert!((got - value).abs() < 0.500001e-6);
        }
    }
}
