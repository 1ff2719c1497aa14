//! An HTTP answer, before it is known to be one of OSRM's.

use std::time::Duration;

use super::{MatchAnswer, MatchError, response};

/// A server that asks for a longer pause than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Why the server as a whole cannot be asked at present.
#[derive(Debug, Clone)]
pub struct Away {
    pub why: String,
    /// How long it wants to be left alone, if it said so.
    pub pause: Option<Duration>,
}

impl Away {
    pub fn because(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            pause: None,
        }
    }
}

/// An HTTP answer as far as it matters here.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub retry_after: Option<String>,
}

impl Reply {
    /// The answer to a match request. Who stands before OSRM may bound the length of an address.
    pub fn answer(&self) -> Result<MatchAnswer, MatchError> {
        if self.status == 414 {
            return Err(MatchError::TooBig);
        }
        if !matches!(self.status, 200 | 400) {
            return Err(MatchError::Unavailable(self.describe()));
        }
        response::parse(&self.body).map_err(|error| match error {
            MatchError::Unavailable(why) => {
                MatchError::Unavailable(format!("HTTP {}: {why}", self.status))
            }
            other => other,
        })
    }

    /// Whether the server wants to be left alone: that concerns every window, not only the one
    /// that was asked about.
    pub fn turned_away(&self) -> Option<Away> {
        let pause = self.retry_after.as_deref().and_then(pause);
        match self.status {
            429 => {}
            503 if pause.is_some() => {}
            _ => return None,
        }
        let why = match pause {
            Some(pause) => format!(
                "HTTP {}: it wants no request for {} s",
                self.status,
                pause.as_secs()
            ),
            None => format!("HTTP {}: too many requests", self.status),
        };
        Some(Away { why, pause })
    }

    /// An answer that no OSRM gives, in one line.
    pub fn describe(&self) -> String {
        let status = self.status;
        if let 300..=399 = status {
            return format!("HTTP {status}: a redirect, which is not followed");
        }
        let text: String = String::from_utf8_lossy(&self.body[..self.body.len().min(120)])
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("HTTP {status}, not an answer of OSRM: {text:?}")
    }
}

/// The pause that a `Retry-After` asks for: seconds, or the moment when it ends.
fn pause(retry_after: &str) -> Option<Duration> {
    let text = retry_after.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let end = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            end.signed_duration_since(chrono::Utc::now())
                .to_std()
                .unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, retry_after: Option<&str>) -> Reply {
        Reply {
            status,
            body: "<html>\n".repeat(1000).into_bytes(),
            retry_after: retry_after.map(str::to_string),
        }
    }

    #[test]
    fn a_pause_may_be_asked_for_in_seconds_or_by_the_clock() {
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        assert_eq!(pause("999999999"), Some(LONGEST_PAUSE));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = (chrono::Utc::now() + chrono::TimeDelta::seconds(60)).to_rfc2822();
        let until_soon = pause(&soon).unwrap();
        assert!(until_soon <= Duration::from_secs(60));
        assert!(until_soon >= Duration::from_secs(50));
        assert_eq!(pause("soon"), None);
    }

    #[test]
    fn only_a_server_that_asks_for_it_is_left_alone() {
        assert_eq!(
            reply(429, Some("7")).turned_away().unwrap().pause,
            Some(Duration::from_secs(7))
        );
        assert!(reply(429, None).turned_away().is_some());
        assert!(reply(503, Some("7")).turned_away().is_some());
        assert!(reply(503, None).turned_away().is_none());
        assert!(reply(200, Some("7")).turned_away().is_none());
    }

    #[test]
    fn an_address_that_is_too_long_is_too_big_a_request() {
        assert_eq!(reply(414, None).answer(), Err(MatchError::TooBig));
    }

    #[test]
    fn a_body_is_quoted_in_one_short_line() {
        let text = reply(502, None).describe();
        assert!(text.len() < 200 && !text.contains('\n'), "{text}");
    }
}
