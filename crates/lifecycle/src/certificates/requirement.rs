use rmachine_pki::{CertificateInfo, Purpose, San, verify_chain};
use time::OffsetDateTime;

/// A certificate with fewer days left is renewed whenever one is needed.
const RENEWED_BEFORE_DAYS: i64 = 30;

/// What a certificate has to be, exactly.
pub(crate) struct Requirement<'a> {
    pub(crate) purpose: Option<Purpose>,
    /// Whether its owner is a client of others. Agents are not: only a manager accepts them.
    pub(crate) client_auth: bool,
    pub(crate) sans: &'a [San],
}

/// Whether a certificate that exists can stay.
#[derive(Debug)]
pub(crate) enum State {
    /// It is what is required.
    Valid,
    /// It serves, but names or permits more than is required.
    TooBroad(Box<CertificateInfo>),
    /// It expires soon, lacks a name or a usage, or cannot be read.
    Unusable,
}

/// Compares a certificate with what is required of it.
pub(crate) fn state(
    certificate: &str,
    key: &str,
    ca: &str,
    requirement: &Requirement<'_>,
) -> State {
    let Ok(info) = CertificateInfo::read(certificate) else {
        return State::Unusable;
    };
    let is_agent = requirement.purpose == Some(Purpose::Agent);
    let serves = (info.server_auth || is_agent)
        && (info.client_auth || !requirement.client_auth)
        && (info.purpose == requirement.purpose || requirement.purpose.is_none());
    if !serves || !usable(certificate, key, ca, requirement.sans) {
        return State::Unusable;
    }
    let is_exact = info.purpose == requirement.purpose
        && info.client_auth == requirement.client_auth
        && info.covers_exactly(requirement.sans);
    if is_exact {
        State::Valid
    } else {
        State::TooBroad(Box::new(info))
    }
}

/// Whether a certificate can stay in use. One that cannot be read cannot: a damaged file is
/// replaced.
pub(crate) fn usable(certificate: &str, key: &str, ca: &str, sans: &[San]) -> bool {
    let now = OffsetDateTime::now_utc();
    CertificateInfo::read(certificate)
        .is_ok_and(|info| info.days_left(now) > RENEWED_BEFORE_DAYS && info.covers(sans))
        && verify_chain(certificate, ca, now).is_ok()
        && rmachine_pki::key_matches(certificate, key).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use rmachine_pki::{Authority, KeyType, ServerRequest};

    use super::*;

    #[test]
    fn certificate_stays_only_while_it_is_exactly_what_is_required() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let sans = |names: &[&str]| -> Vec<San> {
            names
                .iter()
                .map(|name| San::from((*name).to_owned()))
                .collect()
        };
        let request = |names: &[&str], client_auth| ServerRequest {
            name: "n1".to_owned(),
            organization: "ann".to_owned(),
            sans: sans(names),
            client_auth,
            key: KeyType::Ecdsa,
        };
        let both = ["n1", "10.0.0.1"];
        let all = ["n1", "10.0.0.1", "10.0.0.2"];
        let server = |names: &[&str], client_auth| {
            authority
                .issue_server(&request(names, client_auth))
                .unwrap()
        };
        let manager = authority.issue_manager(&request(&both, true)).unwrap();
        let agent = authority.issue_agent(&request(&both, false)).unwrap();
        let old_agent = authority.issue_agent(&request(&[], false)).unwrap();
        let purposes = [None, Some(Purpose::Manager), Some(Purpose::Agent)];
        // As an engine's certificate, a manager's and an agent's.
        for (issued, expected) in [
            (&server(&both, false), ["valid", "unusable", "unusable"]),
            (
                &server(&["10.0.0.1", "n1"], false),
                ["valid", "unusable", "unusable"],
            ),
            (
                &server(&["n1"], false),
                ["unusable", "unusable", "unusable"],
            ),
            (&server(&all, false), ["too broad", "unusable", "unusable"]),
            (&server(&both, true), ["too broad", "unusable", "unusable"]),
            (&manager, ["too broad", "valid", "unusable"]),
            (&agent, ["unusable", "unusable", "valid"]),
            (&old_agent, ["unusable", "unusable", "unusable"]),
        ] {
            let states = purposes.map(|purpose| {
                let requirement = Requirement {
                    purpose,
                    client_auth: purpose == Some(Purpose::Manager),
                    sans: &sans(&both),
                };
                let key = issued.key.expose();
                match state(&issued.certificate, key, &ca.certificate, &requirement) {
                    State::Valid => "valid",
                    State::TooBroad(_) => "too broad",
                    State::Unusable => "unusable",
                }
            });
            let info = CertificateInfo::read(&issued.certificate).unwrap();
            assert_eq!(states, expected, "{info:?}");
        }
    }
}
