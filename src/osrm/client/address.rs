//! The address of the server, checked before anything is called.

use ureq::http::Uri;

/// The address without a trailing slash, or what is wrong with it.
pub fn check_url(url: &str) -> Result<String, String> {
    let trimmed = url.trim().trim_end_matches('/');
    let uri: Uri = trimmed.parse().map_err(|_| "it is not a URL".to_string())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("it must begin with http:// or https://".into()),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    if uri.query().is_some() || trimmed.contains('#') {
        return Err("it may hold a path, but no query and no fragment".into());
    }
    // A login would be seen by whoever may see the setting.
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err("it must not carry a login".into());
    }
    Ok(trimmed.to_string())
}

/// A profile may not lead out of its place in the path.
pub fn check_profile(profile: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if profile.is_empty() || !profile.chars().all(plain) {
        return Err("osrm_matcher.profile may hold letters, digits, '_', '-' and '.' only".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_called() {
        assert_eq!(check_url("http://osrm:5000/").unwrap(), "http://osrm:5000");
        assert_eq!(check_url("https://[::1]/car").unwrap(), "https://[::1]/car");
        for bad in [
            "",
            "osrm:5000",
            "ftp://osrm",
            "file:///etc/passwd",
            "http://",
            "http://osrm/?a=b",
            "http://osrm/#f",
            "http://user:secret@osrm",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_profile_cannot_leave_its_place_in_the_path() {
        assert!(check_profile("driving").is_ok());
        for bad in ["", "a/b", "..\\", "a?b", "a b", "a%2f"] {
            assert!(check_profile(bad).is_err(), "{bad}");
        }
    }
}
