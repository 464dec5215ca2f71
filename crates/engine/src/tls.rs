//! From what the TLS library says to who refused what.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::TlsReason;

/// The reason, if there is an error of TLS anywhere behind this one.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> Option<TlsReason> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(of(tls));
        }
        // An I/O error shows what it wraps only here; its source skips it.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn of(error: &rustls::Error) -> TlsReason {
    use CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::UnknownIssuer | Certificate::BadSignature => TlsReason::UnknownAuthority,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                TlsReason::NameMismatch
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                TlsReason::NotYetValid
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => TlsReason::Expired,
            _ => TlsReason::Other,
        },
        rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => TlsReason::ClientRefused,
        rustls::Error::InvalidMessage(_) => TlsReason::NotTls,
        _ => TlsReason::Other,
    }
}
