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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::InvalidMessage;

    #[test]
    fn tells_who_refused_what() {
        use rustls::Error::{AlertReceived, InvalidCertificate};
        for (error, expected) in [
            (
                InvalidCertificate(CertificateError::UnknownIssuer),
                TlsReason::UnknownAuthority,
            ),
            // Two authorities of one name: the issuer is found, and the signature is another's.
            (
                InvalidCertificate(CertificateError::BadSignature),
                TlsReason::UnknownAuthority,
            ),
            (
                InvalidCertificate(CertificateError::NotValidForName),
                TlsReason::NameMismatch,
            ),
            (
                InvalidCertificate(CertificateError::NotValidYet),
                TlsReason::NotYetValid,
            ),
            (
                InvalidCertificate(CertificateError::Expired),
                TlsReason::Expired,
            ),
            (
                InvalidCertificate(CertificateError::InvalidPurpose),
                TlsReason::Other,
            ),
            (
                AlertReceived(AlertDescription::CertificateRequired),
                TlsReason::ClientRefused,
            ),
            (
                AlertReceived(AlertDescription::BadCertificate),
                TlsReason::ClientRefused,
            ),
            (
                AlertReceived(AlertDescription::ProtocolVersion),
                TlsReason::Other,
            ),
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                TlsReason::NotTls,
            ),
        ] {
            // As it comes from a connection: wrapped, and wrapped again.
            let text = error.to_string();
            let wrapped = io::Error::other(io::Error::other(error));
            assert_eq!(reason(&wrapped), Some(expected), "{text}");
        }
        assert_eq!(reason(&io::Error::other("reset")), None);
    }
}
