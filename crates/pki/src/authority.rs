use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::chain::{check_authority, check_time};
use crate::purpose::{AGENT, MANAGER};
use crate::{
    CertificateInfo, CertifiedPem, KeyType, PkiError, PrivateKeyPem, San, crypto_provider,
    key_matches,
};

/// How long an authority's certificate is valid.
const AUTHORITY_VALID: Duration = Duration::days(3650);

/// How long other certificates are valid: docker-machine's term.
const VALID: Duration = Duration::days(1080);

/// How far before now an authority's time begins. It outlives what was wrong with the clock of the
/// moment in which it was made.
const AUTHORITY_BACKDATED: Duration = Duration::days(1);

/// How far before now a certificate's time begins, for hosts whose clock is behind.
const BACKDATED: Duration = Duration::hours(1);

/// A certificate authority: signs the certificates of a store's machines and clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

/// What a server certificate is to say.
#[derive(Clone, Debug)]
pub struct ServerRequest {
    /// The machine's name: the subject's common name.
    pub name: String,
    /// The subject's organization.
    pub organization: String,
    /// Every name and address under which clients reach the server.
    pub sans: Vec<San>,
    /// Whether the server also shows this certificate as a client of others.
    pub client_auth: bool,
    /// The kind of its private key.
    pub key: KeyType,
}

impl Authority {
    /// Makes an authority, valid for ten years.
    ///
    /// # Errors
    /// [`PkiError::NoRandomness`]; [`PkiError::Generation`].
    pub fn create(organization: &str, key: KeyType) -> Result<(Self, CertifiedPem), PkiError> {
        let pair = key.generate()?;
        let mut params = params("rmachine CA", organization, AUTHORITY_VALID)?;
        params.not_before -= AUTHORITY_BACKDATED;
        // It issues no further authorities (RFC 5280, section 4.2.1.9).
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyAgreement,
            KeyUsagePurpose::KeyCertSign,
        ];
        let certificate = params.self_signed(&pair).map_err(PkiError::Generation)?;
        let made = CertifiedPem {
            certificate: certificate.pem(),
            key: PrivateKeyPem::from(pair.serialize_pem()),
        };
        let issuer = Issuer::new(params, pair);
        Ok((Self { issuer }, made))
    }

    /// Reads an authority: its certificate, and its private key in PKCS#8, PKCS#1 (as
    /// docker-machine wrote it) or SEC1.
    ///
    /// # Errors
    /// When either cannot be read, they do not belong together, the certificate may not issue
    /// others, or its time is not now.
    pub fn load(certificate: &str, key: &str) -> Result<Self, PkiError> {
        let info = CertificateInfo::read(certificate)?;
        check_authority(&info)?;
        check_time(&info, OffsetDateTime::now_utc())?;
        if !key_matches(certificate, key)? {
            return Err(PkiError::KeyMismatch {
                subject: info.subject,
            });
        }
        let pair = KeyPair::from_pem(key).map_err(PkiError::NoKey)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, pair).map_err(|error| {
            PkiError::NoCertificate {
                reason: error.to_string(),
            }
        })?;
        Ok(Self { issuer })
    }

    /// Issues a client's certificate, valid for 1080 days.
    ///
    /// # Errors
    /// [`PkiError::NoRandomness`]; [`PkiError::Generation`].
    pub fn issue_client(&self, organization: &str, key: KeyType) -> Result<CertifiedPem, PkiError> {
        let mut params = params("rmachine client", organization, VALID)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, key)
    }

    /// Issues the certificate of a cluster's agent, valid for 1080 days. It registers its node with
    /// a manager, and no engine accepts it as a client's. The SANs name the node's addresses, to
    /// which the manager binds what the agent registers.
    ///
    /// # Errors
    /// As [`Authority::issue_server`].
    pub fn issue_agent(&self, request: &ServerRequest) -> Result<CertifiedPem, PkiError> {
        let mut params = named_params(request)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(AGENT.into())];
        self.issue(params, request.key)
    }

    /// Issues the certificate of a cluster's manager, valid for 1080 days: a server's and a
    /// client's, with [`Purpose::Manager`](crate::Purpose::Manager).
    ///
    /// # Errors
    /// As [`Authority::issue_server`].
    pub fn issue_manager(&self, request: &ServerRequest) -> Result<CertifiedPem, PkiError> {
        let mut params = server_params(request)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::Other(MANAGER.into()),
        ];
        self.issue(params, request.key)
    }

    /// Issues a server's certificate, valid for 1080 days.
    ///
    /// # Errors
    /// [`PkiError::InvalidName`]; [`PkiError::NoRandomness`]; [`PkiError::Generation`].
    pub fn issue_server(&self, request: &ServerRequest) -> Result<CertifiedPem, PkiError> {
        self.issue(engine_params(request)?, request.key)
    }

    /// Issues a server's certificate that expires when `previous` does. It replaces a certificate
    /// that its server may go on using, whose expiry then is the one that counts.
    ///
    /// # Errors
    /// As [`Authority::issue_server`].
    pub fn replace_server(
        &self,
        request: &ServerRequest,
        previous: &CertificateInfo,
    ) -> Result<CertifiedPem, PkiError> {
        let mut params = engine_params(request)?;
        params.not_after = params.not_after.min(previous.not_after);
        self.issue(params, request.key)
    }

    fn issue(&self, params: CertificateParams, key: KeyType) -> Result<CertifiedPem, PkiError> {
        let pair = key.generate()?;
        let certificate = params
            .signed_by(&pair, &self.issuer)
            .map_err(PkiError::Generation)?;
        Ok(CertifiedPem {
            certificate: certificate.pem(),
            key: PrivateKeyPem::from(pair.serialize_pem()),
        })
    }
}

fn named_params(request: &ServerRequest) -> Result<CertificateParams, PkiError> {
    let mut params = params(&request.name, &request.organization, VALID)?;
    params.subject_alt_names = request
        .sans
        .iter()
        .map(alt_name)
        .collect::<Result<_, _>>()?;
    Ok(params)
}

/// What a server's certificate says that has no purpose of ours.
fn engine_params(request: &ServerRequest) -> Result<CertificateParams, PkiError> {
    let mut params = server_params(request)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if request.client_auth {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    Ok(params)
}

fn server_params(request: &ServerRequest) -> Result<CertificateParams, PkiError> {
    let mut params = named_params(request)?;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyAgreement,
    ];
    Ok(params)
}

fn params(
    common_name: &str,
    organization: &str,
    valid: Duration,
) -> Result<CertificateParams, PkiError> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial_number()?);
    params.not_before = now - BACKDATED;
    params.not_after = now + valid;
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}

/// 128 random bits, of which the first two are fixed: a serial number is positive, and its length
/// in DER is the same every time.
fn serial_number() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    let random = crypto_provider().secure_random;
    random
        .fill(&mut bytes)
        .map_err(|_| PkiError::NoRandomness)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn alt_name(san: &San) -> Result<SanType, PkiError> {
    match san {
        San::Ip(ip) => Ok(SanType::IpAddress(*ip)),
        San::Dns(name) => {
            let invalid = || PkiError::InvalidName { name: name.clone() };
            if !is_dns_name(name) {
                return Err(invalid());
            }
            let text = name.as_str().try_into().map_err(|_| invalid())?;
            Ok(SanType::DnsName(text))
        }
    }
}

/// Whether a name has the characters of one. Those of machines are as free as this, and so are those
/// in container networks, so it is not a host name's grammar that is asked for.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify_chain;

    fn request(sans: &[&str]) -> ServerRequest {
        ServerRequest {
            name: "n1".to_owned(),
            organization: "ann.n1".to_owned(),
            sans: sans
                .iter()
                .map(|san| San::from((*san).to_owned()))
                .collect(),
            client_auth: false,
            key: KeyType::Ecdsa,
        }
    }

    #[test]
    fn issues_what_it_can_verify_with_every_kind_of_key() {
        let now = OffsetDateTime::now_utc();
        for key in [KeyType::Ecdsa, KeyType::Rsa] {
            let (_, ca) = Authority::create("ann", key).unwrap();
            let authority = Authority::load(&ca.certificate, ca.key.expose()).unwrap();
            let server = authority
                .issue_server(&ServerRequest {
                    key,
                    ..request(&["n1", "10.0.0.1", "fd00::1"])
                })
                .unwrap();
            let client = authority.issue_client("ann.client", key).unwrap();
            for leaf in [&server, &client] {
                verify_chain(&leaf.certificate, &ca.certificate, now).unwrap();
                assert!(key_matches(&leaf.certificate, leaf.key.expose()).unwrap());
            }
            let info = CertificateInfo::read(&server.certificate).unwrap();
            assert!(info.server_auth && !info.client_auth && !info.is_authority);
            assert!(info.covers(&request(&["N1", "10.0.0.1", "fd00::1"]).sans));
            assert!(!info.covers(&request(&["10.0.0.2"]).sans));
            assert_eq!(info.days_left(now + Duration::hours(1)), 1079);
            assert!(info.not_before < now - Duration::minutes(59));
            let client = CertificateInfo::read(&client.certificate).unwrap();
            assert!(client.client_auth && !client.server_auth);
        }
    }

    #[test]
    fn refuses_an_authority_that_is_none() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let (_, other) = Authority::create("bob", KeyType::Ecdsa).unwrap();
        let client = authority.issue_client("ann", KeyType::Ecdsa).unwrap();
        assert!(matches!(
            Authority::load(&ca.certificate, other.key.expose()),
            Err(PkiError::KeyMismatch { .. })
        ));
        assert!(matches!(
            Authority::load(&client.certificate, client.key.expose()),
            Err(PkiError::NotAnAuthority { .. })
        ));
        assert!(matches!(
            Authority::load("x", ca.key.expose()),
            Err(PkiError::NoCertificate { .. })
        ));
        assert!(matches!(
            Authority::load(&ca.certificate, "x"),
            Err(PkiError::NoKey(_))
        ));
    }

    #[test]
    fn refuses_names_that_no_certificate_can_hold() {
        let (authority, _) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let long = "a".repeat(254);
        for bad in ["ünïcode", "", "a b", "http://n1", "n1:2376", "*", &long] {
            let error = authority.issue_server(&request(&[bad])).unwrap_err();
            assert!(matches!(error, PkiError::InvalidName { .. }), "{bad:?}");
        }
        for good in ["n1", "N1.Example.org", "*.example.org", "web_1.net", "10.a"] {
            authority.issue_server(&request(&[good])).unwrap();
        }
    }

    #[test]
    fn serial_numbers_are_random_and_positive() {
        let numbers: Vec<_> = (0..64)
            .map(|_| serial_number().unwrap().to_bytes())
            .collect();
        for (nth, number) in numbers.iter().enumerate() {
            assert_eq!(number.len(), 16);
            assert!((0x40..0x80).contains(&number[0]), "{number:?}");
            assert!(!numbers[..nth].contains(number));
        }
    }

    #[test]
    fn replaced_server_certificate_keeps_the_expiry_of_its_predecessor() {
        let (authority, _) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let issued = authority.issue_server(&request(&["n1"])).unwrap();
        let mut previous = CertificateInfo::read(&issued.certificate).unwrap();
        previous.not_after -= Duration::days(500);
        let replaced = authority.replace_server(&request(&["n1"]), &previous);
        let info = CertificateInfo::read(&replaced.unwrap().certificate).unwrap();
        assert_eq!(info.not_after, previous.not_after);
        previous.not_after += Duration::days(5000);
        let replaced = authority.replace_server(&request(&["n1"]), &previous);
        let info = CertificateInfo::read(&replaced.unwrap().certificate).unwrap();
        assert!(info.days_left(OffsetDateTime::now_utc()) <= 1080);
    }

    #[test]
    fn a_certificate_says_what_was_asked() {
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let ca = CertificateInfo::read(&ca.certificate).unwrap();
        assert_eq!(ca.subject, "O=ann, CN=rmachine CA");
        assert!(ca.is_authority && !ca.client_auth && !ca.server_auth);
        let made = authority
            .issue_server(&ServerRequest {
                client_auth: true,
                ..request(&["n1", "10.0.0.1"])
            })
            .unwrap();
        let info = CertificateInfo::read(&made.certificate).unwrap();
        assert_eq!(info.subject, "O=ann.n1, CN=n1");
        assert!(info.client_auth && info.server_auth);
        assert_eq!(info.sans, request(&["n1", "10.0.0.1"]).sans);
    }
}
