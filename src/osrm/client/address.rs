//! The addresses of the servers and the profile, checked before anything is called.

use ureq::http::Uri;
use ureq::http::uri::Authority;

/// More would be no list that somebody keeps by hand.
const MOST_SERVERS: usize = 64;

/// A setting by which nothing can be asked, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub enum BadSetting {
    Address(String),
    Profile(String),
}

/// What is wrong with a list of servers.
#[derive(Debug, PartialEq, Eq)]
pub struct BadServer {
    /// Where it stands in the list, from 1.
    pub number: usize,
    pub address: String,
    pub why: String,
    alone: bool,
}

impl BadServer {
    /// In words that leave the address out: it may be nobody's but a superuser's to see.
    pub fn describe(&self) -> String {
        match self.alone {
            true => self.why.clone(),
            false => format!("server {}: {}", self.number, self.why),
        }
    }
}

/// The addresses of a list by which, with this profile, servers can be asked.
pub fn check_settings(servers: &str, profile: &str) -> Result<Vec<String>, BadSetting> {
    let servers = check_servers(servers).map_err(|bad| BadSetting::Address(bad.describe()))?;
    check_profile(profile).map_err(BadSetting::Profile)?;
    Ok(servers)
}

/// The addresses of a list, which commas or blanks separate.
pub fn check_servers(list: &str) -> Result<Vec<String>, BadServer> {
    let separates = |c: char| c == ',' || c.is_whitespace();
    let names: Vec<&str> = (list.split(separates))
        .filter(|name| !name.is_empty())
        .collect();
    let bad = |number: usize, address: &str, why: &str| BadServer {
        number,
        address: address.into(),
        why: why.into(),
        alone: names.len() < 2,
    };
    let mut servers: Vec<String> = Vec::new();
    for (address, number) in names.iter().zip(1..) {
        let server = check_url(address).map_err(|why| bad(number, address, &why))?;
        if servers.contains(&server) {
            return Err(bad(number, address, "it is named twice"));
        }
        if servers.len() == MOST_SERVERS {
            return Err(bad(number, address, "there are more than 64 servers"));
        }
        servers.push(server);
    }
    if servers.is_empty() {
        return Err(bad(1, "", "no server is named"));
    }
    Ok(servers)
}

/// The address without a trailing slash, or what is wrong with it.
fn check_url(url: &str) -> Result<String, String> {
    let trimmed = url.trim_end_matches('/');
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
    // What is no port would be passed over, and another server asked.
    let has_port = |a: &Authority| a.as_str().len() > a.host().len();
    if uri.authority().is_some_and(has_port) && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("its port must be a number from 1 to 65535".into());
    }
    Ok(trimmed.to_string())
}

/// A profile may not lead out of its place in the path.
pub fn check_profile(profile: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if profile.is_empty() || !profile.chars().all(plain) {
        return Err("a profile may hold letters, digits, '_', '-' and '.' only".into());
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
        assert!(check_url("http://[::1]:5000").is_ok());
        assert!(check_url("http://osrm:65535/car").is_ok());
        for bad in [
            "",
            "osrm:5000",
            "ftp://osrm",
            "file:///etc/passwd",
            "http://",
            "http://osrm/?a=b",
            "http://osrm/#f",
            "http://user:secret@osrm",
            "http://osrm:",
            "http://osrm:50O0",
            "http://osrm:0",
            "http://osrm:99999",
            "http://osrm:-1/car",
            "http://[::1]:",
            "http://[::1]:x",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_names_each_server_once_and_a_bad_one_is_told() {
        let list = "http://a:5000, http://b:5000/  https://c/car,";
        let servers = ["http://a:5000", "http://b:5000", "https://c/car"];
        assert_eq!(check_servers(list).unwrap(), servers);
        let bad = check_servers("http://a, http://u:secret@b").unwrap_err();
        assert_eq!((bad.number, bad.address.as_str()), (2, "http://u:secret@b"));
        assert_eq!(bad.describe(), "server 2: it must not carry a login");
        assert!(check_servers("http://a http://a/").is_err());
        assert!(check_servers(" , ").is_err());
        let many = (0..65).map(|n| format!("http://a{n}")).collect::<Vec<_>>();
        assert!(check_servers(&many.join(" ")).is_err());
        assert!(check_servers(&many[1..].join(",")).is_ok());
    }

    #[test]
    fn a_profile_cannot_leave_its_place_in_the_path() {
        assert!(check_profile("driving").is_ok());
        for bad in ["", "a/b", "..\\", "a?b", "a b", "a%2f"] {
            assert!(check_profile(bad).is_err(), "{bad}");
        }
    }
}
