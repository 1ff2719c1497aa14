//! The authorities by whose signature the certificate of a server is believed.

use ureq::tls::{PemItem, RootCerts, parse_pem};

/// All authorities that a Debian trusts take some 200 kB.
const LARGEST_FILE: u64 = 4 << 20;

/// Those that a file in PEM names, in place of the public ones; the error says why there are none.
pub fn read(path: &str) -> Result<RootCerts, String> {
    let unusable = |why: &str| format!("osrm_matcher.ca_file, \"{path}\": {why}");
    let pem = contents(path).map_err(|error| unusable(&error.to_string().to_lowercase()))?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|_| unusable("it is not in PEM"))?;
    let certificates: Vec<_> = (items.into_iter())
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        true => Err(unusable("it holds no certificate in PEM")),
        false => Ok(RootCerts::from(certificates)),
    }
}

/// What a file holds. A pipe would be waited for, a device never end.
fn contents(path: &str) -> std::io::Result<Vec<u8>> {
    let about = std::fs::metadata(path)?;
    let why_not = match about.is_file() {
        true if about.len() <= LARGEST_FILE => return std::fs::read(path),
        true => "it is larger than 4 MB",
        false => "it is not a file",
    };
    Err(std::io::Error::other(why_not))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_authority_is_told() {
        let why = |path: &str| read(path).unwrap_err();
        assert!(why("/nowhere/ca.pem").contains("ca_file, \"/nowhere/ca.pem\": no such file"));
        assert!(why("/dev/zero").ends_with("it is not a file"));
        assert!(why("/").ends_with("it is not a file"));
        assert!(why("Cargo.toml").ends_with("it holds no certificate in PEM"));
    }
}
