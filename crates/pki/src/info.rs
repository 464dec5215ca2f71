use std::net::IpAddr;

use time::OffsetDateTime;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{PkiError, Purpose, San};

/// What a certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateInfo {
    /// Whom it is made out to, as `O=…, CN=…`.
    pub subject: String,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// The names it covers.
    pub sans: Vec<San>,
    /// From when on it is valid.
    pub not_before: OffsetDateTime,
    /// Until when it is valid.
    pub not_after: OffsetDateTime,
    /// Whether a client may show it. An authority's own certificate is shown by nobody.
    pub client_auth: bool,
    /// Whether a server may show it.
    pub server_auth: bool,
    /// Role that it is restricted to; `None` for certificates of servers, clients and authorities.
    pub purpose: Option<Purpose>,
    /// Whether it may issue others.
    pub is_authority: bool,
}

impl CertificateInfo {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// [`PkiError::NoCertificate`].
    pub fn read(pem: &str) -> Result<Self, PkiError> {
        with_certificate(pem, |certificate| {
            let is_authority = is_authority(certificate);
            let usage = certificate.extended_key_usage();
            // Where the extension is missing, every purpose is allowed (RFC 5280, section
            // 4.2.1.12); where it cannot be read, none is.
            let allows = |allowed: fn(&ExtendedKeyUsage<'_>) -> bool| match &usage {
                _ if is_authority => false,
                Ok(Some(usage)) => usage.value.any || allowed(usage.value),
                Ok(None) => true,
                Err(_) => false,
            };
            Self {
                subject: certificate.subject().to_string(),
                serial: certificate.raw_serial_as_string(),
                sans: sans(certificate),
                not_before: certificate.validity().not_before.to_datetime(),
                not_after: certificate.validity().not_after.to_datetime(),
                client_auth: allows(|usage| usage.client_auth),
                server_auth: allows(|usage| usage.server_auth),
                purpose: Purpose::of_certificate(certificate),
                is_authority,
            }
        })
    }

    /// Whether the certificate is good for all of these names.
    pub fn covers(&self, sans: &[San]) -> bool {
        sans.iter().all(|san| self.sans.contains(san))
    }

    /// Whether the certificate names these and no others, in any order.
    pub fn covers_exactly(&self, sans: &[San]) -> bool {
        self.covers(sans) && self.sans.iter().all(|san| sans.contains(san))
    }

    /// Whole days until the certificate expires; negative once it has.
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).whole_days()
    }
}

/// Reads the first certificate of a PEM text and hands it on.
pub(crate) fn with_certificate<T>(
    pem: &str,
    read: impl FnOnce(&X509Certificate<'_>) -> T,
) -> Result<T, PkiError> {
    let unreadable = |reason: String| PkiError::NoCertificate { reason };
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
        .map_err(|error| unreadable(error.to_string()))?;
    if block.label != "CERTIFICATE" {
        return Err(unreadable(format!("it holds a {}", block.label)));
    }
    let (_, certificate) = X509Certificate::from_der(&block.contents)
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(read(&certificate))
}

fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let constraints = certificate.basic_constraints().ok().flatten();
    let may_sign = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    may_sign && constraints.is_some_and(|extension| extension.value.ca)
}

pub(crate) fn sans(certificate: &X509Certificate<'_>) -> Vec<San> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(San::Dns(name.to_ascii_lowercase())),
            GeneralName::IPAddress(bytes) => address(bytes).map(San::Ip),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| v6()).ok()
}
